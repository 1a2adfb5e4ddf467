"""Bounds and forms of options, presets and studies: a sentence and exit code 2."""

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml

from semiseg import methods, networks, presets
from semiseg.cli import options
from semiseg.config import SECTIONS, RunConfig, parse_assignments
from semiseg.data.budget import parse_budget
from semiseg.data.manifest import PreparedData
from semiseg.data.splits import make_split
from semiseg.errors import UserError
from semiseg.training.configuration import resolve_config
from semiseg.yaml_text import parse_yaml, write_yaml

MANY = "9" * 400
VALUES: tuple[Any, ...] = (
    [], {}, "", "x", -1, 10**400, 1e300, None, [[]], [None], [10**400], "1" * 5000, True, [0], {"a": []},
    float("nan"), float("inf"), "a\0b", list(range(1000)),
)  # fmt: skip
OF_METHODS = [(name, name, list(entry.load().Options.model_fields))
              for name, entry in methods.table().items()]  # fmt: skip
OF_NETWORKS = [({"swin": "cross-teaching", "batformer": "batformer"}.get(name, "supervised"), name,
                list(networks.entry(name).config().model_fields))
               for name in networks.table()]  # fmt: skip
COMMON = [("supervised", name, list(type(RunConfig.model_fields[name].default).model_fields))
          for name in SECTIONS]  # fmt: skip


@pytest.mark.parametrize(("method", "section", "fields"), [*OF_METHODS, *OF_NETWORKS, *COMMON])
def test_every_option_takes_or_refuses_every_value(
    small_data: PreparedData, method: str, section: str, fields: list[str]
) -> None:
    for field in fields:
        for value in VALUES:
            layer = {section: {field: value}}
            said = ""
            try:
                resolve_config(
                    small_data.manifest, method, None, (), layer
                ).config.model_dump_json()
            except UserError as error:
                said = str(error)
            assert len(said) < 700, (field, value)


@pytest.mark.parametrize(
    "assignment",
    [
        "training.seed=9223372036854775808", f"training.seed={MANY}", f"training.iterations={MANY}",
        "swin.depths=[]", "swin.depths=[0,2]", "unet.channels=[]", "data.patch=[]",
        f"data.size={MANY}", "training.batch_size=100000000", "training.keep_weights_at=[0]",
        "training.learning_rate=1e400", f"training.learning_rate={MANY}", "training.iterations=2001-99-99",
        "training.iterations=12:30", "training.iterations=010", "training.iterations=1_000",
        "training.iterations=0b1", "training.learning_rate=0x10", "training.learning_rate=1:30.5",
        "training.iterations=no", "training.seed='007'", "unet.channels=[010,16]",
        "training.iterations=true", "training.learning_rate=false", "unet.channels=[16,true]",
        "training.validation_cases=true", "data.patch=[16,16,true]", "cross-teaching.weight=true",
    ],
)  # fmt: skip
def test_values_out_of_bounds_are_refused(small_data: PreparedData, assignment: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve_config(small_data.manifest, "cross-teaching", None, [assignment])
    assert assignment.partition("=")[0] in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12), ("-3", -3), ("+4", 4), ("0", 0), ("1.5", 1.5), ("1e-4", 1e-4), ("5.E3", 5e3),
        (".5", 0.5), ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("[1, 2e-3]", [1, 2e-3]), (".inf", float("inf")), ("12:30", "12:30"), ("010", "010"),
        ("0x10", "0x10"), ("0b1", "0b1"), ("1_000", "1_000"), ("yes", "yes"), ("off", "off"),
        ("2001-01-01", "2001-01-01"), ("1:30.5", "1:30.5"), ("'5'", "5"), ("=", "="),
        ("{a: &x {b: 1}, c: {<<: *x}}", {"a": {"b": 1}, "c": {"b": 1}}),
    ],
)  # fmt: skip
def test_words_of_yaml(text: str, value: Any) -> None:
    assert parse_yaml(text) == value
    assert type(parse_yaml(text)) is type(value)
    assert parse_yaml(write_yaml(value)) == value
    assert yaml.safe_load(write_yaml(value)) == value


def test_texts_that_look_like_numbers_stay_texts() -> None:
    assert parse_yaml(write_yaml(["1e-4", "5", "true", "1.0"])) == ["1e-4", "5", "true", "1.0"]
    assert parse_assignments(["a.b='5'", "a.c=1e-4"]) == {"a": {"b": "5", "c": 1e-4}}


@pytest.mark.parametrize(
    "text", ["2001-99-99", "0x", "[" * 3000, "{a: 1, a: 2}", "&a [*b]", "!!binary x", "9" * 5000,
             "\0", "'", "!!python/name:os.system", "? [1]\n: 2\n? {}\n: 3", "!!timestamp x"],
)  # fmt: skip
def test_what_yaml_cannot_read_is_one_error(text: str) -> None:
    try:
        parse_yaml(text)
    except ValueError:
        with pytest.raises(UserError, match=r"--set training\.seed"):
            parse_assignments([f"training.seed={text}"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("method: mcsc\ndata:\n", "section 'data' has no named values"),
        ("method: mcsc\ndata: 3\n", "section 'data' has no named values"),
        ("method: [a]\n", "'method' must be a text"),
        ("summary: 3\n", "'summary' must be a text"),
        ("3: {a: 1}\n", "the name 3 must be a text"),
        ("training: {1: 2}\n", "section 'training' has no named values"),
        ("training: {seed: 1, seed: 2}\n", "'seed' occurs twice"),
        ("data: {size: 2001-99-99}\n", "data.size must be .* got '2001-99-99'"),
        ("data: {size: 2001-01-01}\n", "data.size must be .* got '2001-01-01'"),
        ("training: {iterations: 12:30}\n", "training.iterations must be .* got '12:30'"),
        ("training: {iterations: 010}\n", "training.iterations must be a number, got '010'"),
        ("training: {iterations: 0x10}\n", "training.iterations must be .* got '0x10'"),
        ("training: {iterations: on}\n", "training.iterations must be .* got 'on'"),
        ("unet: {channels: [8, 1_6]}\n", "channels must be a number"),
        ("\xe9", "is not a preset"),
    ],
)
def test_presets_of_other_forms_are_refused(
    small_data: PreparedData, tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        resolve_config(small_data.manifest, "mcsc", str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("variants: {}\n", "needs 'variants:'"),
        ("variants: {a: {method: mcsc, data: }}\n", "variant 'a': the section 'data'"),
        ("variants: {a: {method: mcsc}, a: {method: mcsc}}\n", "'a' occurs twice"),
        ("variants: {a: {method: mcsc, training: {seed: 5}}}\n", "'a' sets training.seed.*--seeds"),
        ("variants: {1: {method: mcsc}, '1': {method: mcsc}}\n", "(twice|two variants of one name)"),
    ],
)  # fmt: skip
def test_studies_of_other_forms_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        presets.load_study(str(path))


@pytest.mark.parametrize("text", [MANY, f"{MANY}%", f"-{MANY}", "/" * 5000, "a\0b", "1e5", "٣٣٣٣"])
def test_budgets_out_of_bounds(text: str) -> None:
    with pytest.raises(UserError, match=r"--labelled"):
        parse_budget(text, 5)


def test_options_of_the_command_line_out_of_bounds() -> None:
    for text in (f"{MANY}h", "99999999h", MANY):
        with pytest.raises(UserError, match="--time"):
            options.seconds(text)
    for text in (str(2**63), MANY, "9" * 5000, f"1,-{MANY}"):
        with pytest.raises(UserError, match="--seeds") as caught:
            options.numbers(text, "--seeds")
        assert len(str(caught.value)) < 200
    for text in ("nan,1,1", "inf,1,1", f"{MANY},1,1", "1,1,1e999"):
        with pytest.raises(UserError, match="--spacing"):
            options.spacing(text)
    with pytest.raises(UserError, match="--parts"):
        options.parts("nan,0.5,0.5")
    with pytest.raises(UserError, match="fractions"):
        make_split(["a"] * 9, ["a"] * 9, (float("nan"), 0.5, 0.5))


def test_numbers_of_all_options_are_bounded() -> None:
    """A new option of a network or a method inherits the bounds."""
    of_methods = [(methods.entry(name).load().Options, fields) for name, _, fields in OF_METHODS]
    of_networks = [(networks.entry(name).config(), fields) for _, name, fields in OF_NETWORKS]
    for known, fields in (*of_methods, *of_networks):
        for field in fields:
            kind = known.model_fields[field].annotation
            if get_origin(kind) is Literal or bool in (kind, *get_args(kind)):
                continue
            with pytest.raises(ValueError, match=field):
                known.model_validate({field: 10**400})

"""Bounds and forms of options, presets and studies: a sentence and exit code 2."""

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from semiseg import methods, networks, presets
from semiseg.cli import options
from semiseg.config import SECTIONS, RunConfig, parse_assignments
from semiseg.data.manifest import PreparedData
from semiseg.data.splits import make_split, parse_budget
from semiseg.errors import UserError
from semiseg.training.configuration import resolve_config
from semiseg.yaml_text import parse_yaml

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
        ("data: {size: 2001-99-99}\n", "cannot be read as YAML"),
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

"""The parts of ``semiseg run``: the division of the time, the scheme, weights without a leak."""

import dataclasses
import json
from pathlib import Path

import pytest

from semiseg.data.manifest import Case, Manifest, Split
from semiseg.data.splits import make_split
from semiseg.data.task import Intensity, Task
from semiseg.datasets.base import Options, Scan, SourceCase
from semiseg.errors import UserError
from semiseg.preparation.changes import Before
from semiseg.preparation.scanning import Plan
from semiseg.training.run_folder import RunFolder, RunSplit
from semiseg.training.run_output import Round, RunOutput
from semiseg.workflows.run.budget import Costs, Stopwatch, Work, divide, next_share
from semiseg.workflows.run.choices import _seed_of, larger_size
from semiseg.workflows.run.renamed import folds_with_present_names, with_present_names
from semiseg.workflows.run.request import RunRequest
from semiseg.workflows.run.rounds import begin_round, earlier_run, labels_read
from semiseg.workflows.run.scheme import decide

COSTS = Costs(step=0.1, prediction=1.0, mask=2.0, loading=1.0)


def request(**changed: object) -> RunRequest:
    values = {
        "source": Path("x"), "labelled": "all", "method": None, "preset": None, "settings": (),
        "seconds": None, "folds": None, "seed": 0, "device": "cpu", "threads": 1, "reading": {},
    }  # fmt: skip
    return RunRequest(**(values | changed))  # type: ignore[arg-type]


def source(labelled: int, patients: int = 20, split: Split | None = None) -> Plan:
    cases = [
        SourceCase(f"p{n:02d}", f"p{n:02d}", n < labelled, None, f"p{n:02d}", (), lambda: None)  # type: ignore[arg-type, return-value]
        for n in range(patients)
    ]
    everybody = [case.patient for case in cases]
    scan = Scan("x", cases, ("background", "a"), "volumes", Intensity(kind="minmax"), split=split)
    drawn = split or make_split(everybody, everybody[:labelled])
    return Plan(Path("x"), "volumes", "", scan, Options(), drawn, "")


def test_the_seed_of_run_overrides_that_of_a_preset(tmp_path: Path) -> None:
    preset = tmp_path / "p.yaml"
    preset.write_text("training: {seed: 9}\n")
    own = ("training.seed=5",)
    assert _seed_of(request(seed=0)) == []
    assert _seed_of(request(seed=3)) == ["training.seed=3"]
    assert _seed_of(request(seed=0, preset=str(preset))) == ["training.seed=0"]
    assert _seed_of(request(seed=3, preset=str(preset), settings=own)) == []


def test_the_time_is_divided() -> None:
    work = Work(trainings=6, scored=9, masks=30)
    shares = divide(600.0, 40.0, work, COSTS)
    assert shares.reserve == pytest.approx(work.afterwards(COSTS))
    assert 40 + 6 * (shares.each + COSTS.loading) + shares.reserve == pytest.approx(600)
    assert shares.excess == 0
    # masks of more images than the time allows: half of what is left is for training
    many = divide(600.0, 40.0, dataclasses.replace(work, masks=1000), COSTS)
    assert 6 * (many.each + COSTS.loading) == pytest.approx(280)
    assert many.excess > 1000
    # preparing took longer than the time
    assert divide(600.0, 900.0, work, COSTS).each > 0


def test_later_trainings_make_up_for_earlier_ones() -> None:
    clock = iter([0.0, 100.0, 260.0])
    watch = Stopwatch(lambda: next(clock))
    assert next_share(600.0, watch.used(), 50.0, 75.0, 6) == 75.0
    assert next_share(600.0, watch.used(), 50.0, 75.0, 5) == pytest.approx(58.0)
    assert next_share(600.0, 590.0, 50.0, 75.0, 2) == 37.5


@pytest.mark.parametrize(
    ("labelled", "changed", "scheme", "folds"),
    [
        (1, {}, "none", 0), (2, {}, "none", 0), (3, {}, "cross-validation", 3),
        (5, {}, "cross-validation", 5), (9, {}, "cross-validation", 5), (10, {}, "held-out", 0),
        (9, {"folds": 3}, "cross-validation", 3), (9, {"folds": 0}, "held-out", 0),
        (15, {"folds": 4}, "cross-validation", 4), (9, {"labelled": "3"}, "held-out", 0),
        (9, {"reading": {"parts": (0.6, 0.2, 0.2)}}, "held-out", 0), (4, {"folds": 0}, "none", 0),
    ],
)  # fmt: skip
def test_the_number_of_labels_decides(
    labelled: int, changed: dict[str, object], scheme: str, folds: int
) -> None:
    found = decide(source(labelled), request(**changed), None, Round())
    assert (found.scheme, len(found.folds)) == (scheme, folds)
    if folds:
        assert sorted(p for fold in found.folds for p in fold) == sorted(found.labelled)
        assert set(found.labelled) <= set(found.split.train)
    if labelled == 10:
        assert len(found.split.test) == 3
    if scheme == "none" and labelled < 3:
        assert "nothing can be said" in found.sentence()


def test_a_split_of_the_source_is_kept() -> None:
    own = Split(train=("p00", "p01", "p02", "p03"), test=("p04",))
    assert decide(source(5, 5, own), request(), None, Round()).scheme == "held-out"
    train_only = Split(train=tuple(f"p{n:02d}" for n in range(5)))
    found = decide(source(5, 5, train_only), request(), None, Round())
    assert (found.scheme, found.split) == ("cross-validation", train_only)
    with pytest.raises(UserError, match="--folds 7: there are only 5"):
        decide(source(5, 5), request(folds=7), None, Round())


@pytest.mark.parametrize(
    ("changed", "fragment"),
    [
        ({"method": "mcsk"}, "mcsc"), ({"settings": ("training.iteration=5",)}, "training.iterations"),
        ({"settings": ("training.iterations=none",)}, "training.iterations"),
        ({"seconds": 60.0, "settings": ("training.iterations=5",)}, "contradict"),
        ({"seconds": 0.0}, "--time"), ({"folds": 1}, "--folds 1"), ({"preset": "cpo"}, "cpu"),
        ({"device": "tpu"}, "tpu"),
        ({"method": "supervised", "settings": ("supervised.netwrk=x",)}, "network"),
    ],
)  # fmt: skip
def test_arguments_are_checked_without_data(changed: dict[str, object], fragment: str) -> None:
    with pytest.raises(UserError, match=fragment):
        request(**changed).check()


def test_arguments_of_volumes_need_no_patch_yet() -> None:
    request(settings=("data.dimensions=3",), method="supervised").check()


def trained(folder: Path, labelled: tuple[str, ...], start: Path | None = None) -> RunFolder:
    run = RunFolder(folder)
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "best.safetensors").touch()
    split = RunSplit(split=Split(train=labelled, validation=("v",)), labelled=labelled)
    (folder / "split.json").write_text(split.model_dump_json())
    start_of = {} if start is None else {"training": {"weights_from": str(start)}}
    (folder / "config.yaml").write_text(
        json.dumps({"format": 2, "method": "supervised", **start_of})
    )
    return run


def test_weights_never_saw_the_patients_that_are_scored(tmp_path: Path) -> None:
    output = RunOutput(tmp_path)
    first = trained(output.training.folder, ("a", "b"))
    trained(output.fold(0).folder, ("b",))
    output.write_round(Round(scheme="cross-validation", folds=(("a",), ("b",))))
    begun = begin_round(output, ["1 image is new: c."])
    assert (begun.number, begun.changes) == (2, ("1 image is new: c.",))
    assert not output.started()
    past = output.past()[0]
    assert past.round().folds == (("a",), ("b",))
    for scored, choosing, expected in (
        ((), (), "training"),
        (("c",), (), "training"),
        (("a", "c"), (), "fold-1"),
        (("a", "b"), (), None),
        (("c",), ("v",), "training"),  # the patients that choose the checkpoint stay the same
        (("v",), (), None),
        ((), ("a",), "fold-1"),
    ):
        found = earlier_run(output, "abcv", scored, choosing)
        assert (found and found.folder.name) == expected
    # of patients with other names nothing is known
    assert earlier_run(output, "acv", ()) is None
    # a later network has seen what its beginning has seen
    later = trained(tmp_path / "later", ("c",), past.training.folder)
    assert labels_read(later) == ({"a", "b", "c"}, {"v"})
    assert first.folder != past.training.folder


def test_an_interrupted_move_is_completed(tmp_path: Path) -> None:
    output = RunOutput(tmp_path)
    trained(output.training.folder, ("a",))
    output.masks.mkdir()
    output.write_round(Round(scheme="none"))
    partial = output.rounds / ".partial-round"
    partial.mkdir(parents=True)
    output.training.folder.rename(partial / "training")  # and then the process was killed
    assert begin_round(output, ["x."]).number == 2
    assert output.past()[0].training.exists()
    assert output.past()[0].masks.is_dir()
    # nothing was trained since: more changes join the same round
    again = begin_round(output, ["y."])
    assert (again.number, again.changes) == (2, ("x.", "y."))


@pytest.mark.parametrize(
    ("group", "sizes"),
    [(2, [1, 2, 2, 2, 2]), (5, [1, 1, 1, 1, 5]), (6, [1, 2, 2, 2, 2]), (9, [1, 2, 2, 2, 2])],
)
def test_folds_keep_groups_together_unless_they_are_most_patients(
    group: int, sizes: list[int]
) -> None:
    together = (tuple(f"p{n:02d}" for n in range(group)),)
    found = decide(source(9), request(), None, Round(), together)
    assert sorted(map(len, found.folds)) == sizes


def test_patients_who_get_another_name_keep_their_part() -> None:
    def case(name: str, patient: str) -> Case:
        return Case(
            identifier=name, patient=patient, shape=(1, 1, 8, 8), labelled=True, bounds=(0.0, 1.0)
        )

    split = Split(train=("p0_left", "p1_left", "p3"), validation=("p3_left",), test=("p2_left",))
    task = Task(
        name="x", kind="pictures", channels=1, classes=("background", "a"),
        intensity=Intensity(kind="minmax"), median_shape=(1, 8, 8),
    )  # fmt: skip
    names = {"p0_left": "p0", "p1_left": "p1", "p2_left": "p2", "p3_left": "p3", "p3": "p3"}
    cases = tuple(case(name, name) for name in names)
    manifest = Manifest(task=task, layout="pictures", split=split, cases=cases)
    found = with_present_names(Before(Path("x"), manifest, None, {}), names)
    assert found.manifest.split.test == ("p2",)
    assert found.manifest.split.validation == ()
    assert found.manifest.split.train == ("p0", "p1", "p3")  # in two parts before: trains
    assert [c.patient for c in found.manifest.cases] == list(names.values())
    last = Round(folds=(("p0_left", "p3"), ("p3_left", "p1_left")))
    assert folds_with_present_names(last, names).folds == (("p0", "p3"), ("p1",))


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (100, 96), (2000, 96), (3555, 96), (3556, 128), (8000, 192), (10**6, 224),
    ],
)  # fmt: skip
def test_slices_are_larger_if_the_time_allows_it(count: int, expected: int) -> None:
    """A step of 128 pixels costs (128 / 96)^2 = 1.78 times one of 96; 2,000 of them must fit."""
    assert larger_size(96, 250, count, 32) == expected
    assert larger_size(250, 250, count, 32) == 250

"""The loop end to end: files, non-finite losses, the time limit, errors."""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from semiseg import methods
from semiseg.console import Bar, Console, Quiet
from semiseg.csv_files import read_csv
from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData, write_manifest
from semiseg.errors import RunFailure, UserError
from semiseg.losses import dice
from semiseg.methods import cross_teaching
from semiseg.methods.base import Method, Step
from semiseg.testing.data import small_settings, write_volumes
from semiseg.training import loop
from semiseg.training.configuration import choose_precision, resolve_config
from semiseg.training.loop import gradient_sizes
from semiseg.training.run_folder import RunFolder, from_file_form, to_file_form
from semiseg.workflows.train import TrainResult, resume, train

WriteData = Callable[[Path], PreparedData]


class StoppedError(Exception):
    """Raised by tests to interrupt a training."""


class Recorder(Quiet):
    """Records messages, and can stop a training after some steps."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.said: list[str] = []
        self.notes: list[str] = []
        self.stop_after = stop_after

    def info(self, text: str = "") -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def bar(self, label: str, total: int, done: int = 0) -> Iterator[Bar]:
        steps, stop_after, notes = itertools.count(1), self.stop_after, self.notes

        class Counting:
            def advance(self, _: int = 1, note: str = "") -> None:
                notes.append(note)
                if next(steps) == stop_after:
                    raise StoppedError

        yield Counting()


def run(
    data: PreparedData, out: Path, method: str, *more: str, console: Console | None = None,
    **options: Any,
) -> TrainResult | None:  # fmt: skip
    base = small_settings(method)
    return train(
        data.folder, out, method=method, settings=[*base, *more], device="cpu",
        console=console or Quiet(), **({"labelled": "2"} | options),
    )  # fmt: skip


def last(out: Path) -> dict[str, Tensor]:
    return load_file(str(out / "weights" / "last.safetensors"))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(t, other[n]) for n, t in one.items())


@pytest.fixture(scope="module")
def finished(small_data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of cross teaching without interruption."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    result = run(small_data, out, "cross-teaching", "training.gradient_sizes_every=3")
    assert result is not None
    assert result.finished
    assert result.iterations == 6
    return out


def test_the_bar_shows_the_loss_and_the_score_as_they_come(
    small_data: PreparedData, tmp_path: Path
) -> None:
    console = Recorder()
    more = ("training.iterations=3", "training.validate_every=2", "training.log_every=3")
    run(small_data, tmp_path / "run", "supervised", *more, console=console)
    patterns = ["", r"best Dice \d\.\d{3}", r"loss \d\.\d{3}, best Dice \d\.\d{3}"]
    for note, pattern in zip(console.notes[:3], patterns, strict=True):
        assert re.fullmatch(pattern, note)


def test_a_run_explains_itself(small_data: PreparedData, finished: Path) -> None:
    folder = RunFolder(finished)
    assert folder.config().training.iterations == 6
    assert folder.task() == small_data.task
    assert folder.split().labelled == ("p1", "p2")
    assert folder.facts().origins["data.size"] == "--set"
    rows = read_csv(finished / "metrics.csv")
    assert [row["step"] for row in rows] == [str(i) for i in range(1, 7)]
    for row in rows:
        terms = [
            float(row[f"{kind}_{n}"]) for kind in ("supervised", "cross") for n in ("unet", "swin")
        ]
        assert float(row["loss"]) == pytest.approx(sum(terms), rel=1e-4)
    assert not list((finished).glob("checkpoints/*"))
    assert not list(finished.rglob(".partial*"))


def test_the_best_weights_are_those_of_the_best_validation(finished: Path) -> None:
    rows = read_csv(finished / "validation.csv")
    assert [row["step"] for row in rows] == ["3", "6"]
    best = max(rows, key=lambda row: float(row["dice"]))
    with safe_open(str(finished / "weights" / "best.safetensors"), framework="pt") as file:
        facts = file.metadata()
    assert facts["step"] == best["step"]
    assert float(facts["validation_dice"]) == pytest.approx(float(best["dice"]), rel=1e-4)
    ended = RunFolder(finished).finished()
    assert ended is not None
    assert str(ended.best_step) == best["step"]


def test_the_highest_validation_dice_chooses_the_best_weights(
    small_data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.3, 0.6, 0.5])
    monkeypatch.setattr(loop, "validation_dice", lambda *_: {"dice": next(scores)})
    result = run(small_data, tmp_path / "run", "supervised", "training.validate_every=2")
    assert result is not None
    assert (result.best_dice, result.best_step) == (0.6, 4)
    best = tmp_path / "run" / "weights" / "best.safetensors"
    with safe_open(str(best), framework="pt") as file:
        assert file.metadata()["step"] == "4"
    assert not same(load_file(str(best)), last(tmp_path / "run"))


def test_gradient_sizes_are_logged_where_asked_for(finished: Path) -> None:
    rows = read_csv(finished / "gradients.csv")
    assert sorted({row["step"] for row in rows}) == ["1", "4"]
    for row in rows:
        learns = row["term"].split("_")[1]
        for group in ("unet", "swin"):
            assert (float(row[group]) > 0) == (group == learns)


def test_gradient_sizes_are_the_norms(small_data: PreparedData) -> None:
    config = resolve_config(
        small_data.manifest, "cross-teaching", None, small_settings("cross-teaching")
    ).config
    method = methods.entry("cross-teaching").load()(small_data.task, config).eval()
    batch = Batch(torch.rand(4, 1, 32, 32), torch.randint(0, 3, (2, 32, 32)))
    terms = method(batch, Step(5, 6))
    sizes = {row["term"]: row for row in gradient_sizes(terms, method)}
    terms["cross_unet"].backward()
    squares = [p.grad.square().sum() for p in method.network.parameters() if p.grad is not None]  # type: ignore[union-attr]
    expected = float(torch.stack(squares).sum().sqrt())
    assert sizes["cross_unet"]["unet"] == pytest.approx(expected, rel=1e-5)
    assert sizes["cross_unet"]["swin"] == 0


def test_networks_train_in_training_mode_after_a_validation(
    small_data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[bool] = []
    plain = methods.entry("supervised").load().forward

    def forward(self: Method, batch: Batch, step: Step) -> dict[str, Tensor]:
        modes.append(all(module.training for module in self.modules()))
        return plain(self, batch, step)

    monkeypatch.setattr(methods.entry("supervised").load(), "forward", forward)
    run(small_data, tmp_path / "run", "supervised", "training.validate_every=1")
    assert modes == [True] * 6


@pytest.mark.parametrize("rhythm", [1, 10])  # detected at once, or at the next checkpoint
def test_a_non_finite_loss_names_its_term_and_keeps_the_last_good_checkpoint(
    small_data: PreparedData, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    rhythm: int,
) -> None:  # fmt: skip
    calls = itertools.count()

    def spoilt(logits: Tensor, pseudo_label: Tensor) -> Tensor:
        value = dice.dice_loss(logits.float().softmax(1), pseudo_label)
        return value * float("nan") if next(calls) >= 2 * 2 else value  # from the third step on

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(cross_teaching, "cross_loss", spoilt)
        with pytest.raises(RunFailure, match=r"'cross_unet' is not finite at iteration 3"):
            run(
                small_data, out, "cross-teaching", f"training.log_every={rhythm}",
                "training.validate_every=6",
            )  # fmt: skip
    assert [p.name for p in (out / "checkpoints").iterdir()] == ["step-0000002.pt"]
    resume(out, device="cpu", console=Quiet())
    assert same(last(out), last(finished))


def test_a_time_limit_ends_cleanly_and_resume_completes(
    small_data: PreparedData, finished: Path, tmp_path: Path
) -> None:
    out, console = tmp_path / "run", Recorder()
    for turn in range(2):
        if turn == 0:
            result = run(small_data, out, "cross-teaching", "training.gradient_sizes_every=3",
                         console=console, seconds=0.0)  # fmt: skip
        else:
            result = resume(out, device="cpu", console=console, seconds=0.0)
        assert result is not None
        assert (result.finished, result.iterations) == (False, turn + 1)
        assert not (out / "finished.json").exists()
        assert "--resume" in console.said[-1]
        assert last(out).keys() == last(finished).keys()  # the weights can be used
    result = resume(out, device="cpu", console=console)
    assert (result.finished, result.iterations) == (True, 6)
    assert same(last(out), last(finished))
    steps = [row["step"] for row in read_csv(out / "metrics.csv")]
    assert steps == [str(i) for i in range(1, 7)]
    assert resume(out, device="cpu", console=console).finished
    assert "nothing to do" in console.said[-1]


def test_a_truncated_checkpoint_is_passed_over_and_said(
    small_data: PreparedData, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(StoppedError):
        run(small_data, out, "cross-teaching", "training.gradient_sizes_every=3",
            console=Recorder(stop_after=5))  # fmt: skip
    newest = out / "checkpoints" / "step-0000004.pt"
    newest.write_bytes(newest.read_bytes()[:-2000])
    console = Recorder()
    resume(out, device="cpu", console=console)
    assert any("step-0000004.pt" in sentence for sentence in console.said)
    assert same(last(out), last(finished))
    for name in ("metrics.csv", "validation.csv", "gradients.csv"):
        rows = [
            [{k: v for k, v in row.items() if k != "seconds"} for row in read_csv(folder / name)]
            for folder in (out, finished)
        ]
        assert rows[0] == rows[1]


def test_few_labels_take_the_last_checkpoint(write_data: WriteData, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    split = data.manifest.split.model_copy(update={"validation": ()})
    write_manifest(data.folder, data.manifest.model_copy(update={"split": split}))
    console = Recorder()
    result = run(data, tmp_path / "run", "supervised", console=console)
    assert result is not None
    assert result.best_dice is None
    assert result.best_step == 6
    assert any("the last checkpoint is used" in sentence for sentence in console.said)
    weights = tmp_path / "run" / "weights"
    assert same(
        load_file(str(weights / "best.safetensors")), load_file(str(weights / "last.safetensors"))
    )


def test_mixed_precision_trains(small_data: PreparedData, tmp_path: Path) -> None:
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        out = tmp_path / precision
        run(small_data, out, "mcsc", f"training.precision={precision}", "training.iterations=2",
            "training.clip_gradients=1")  # fmt: skip
        losses.append([float(row["loss"]) for row in read_csv(out / "metrics.csv")])
        assert all(t.isfinite().all() for t in last(out).values())
        assert all(t.dtype in (torch.float32, torch.int64) for t in last(out).values())
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert losses[0] != losses[1]


def test_the_configuration_survives_its_file(small_data: PreparedData) -> None:
    for method in ("mcsc", "supervised"):
        config = resolve_config(small_data.manifest, method, None, small_settings(method)).config
        assert from_file_form(to_file_form(config)) == config


@pytest.mark.parametrize(
    ("method", "more", "options", "message"),
    [
        ("mcsc", ["mcsc.labelled_contrast_until=6"], {}, "'contrast on unlabelled images'.* 6"),
        ("cross-teaching", ["cross-teaching.consistency_from=9"], {}, "'cross' .* iteration 9"),
        ("mcsc", ["training.labelled_batch_size=4"], {}, r"training\.batch_size"),
        ("supervised", [], {"labelled": "9"}, "at most 4"),
        ("mcsc", [], {"labelled": "5"}, "at most 4"),
        ("mcsc", ["data.size=40"], {}, r"side of 40 pixels .* 32 or 64"),
        ("mcsc", ["data.size=48"], {}, r"side of 48 pixels .* 32 or 64"),
        ("mcsk", [], {}, "did you mean 'mcsc'"),
        ("mcsc", ["mcsc.temprature=1"], {}, r"mcsc\.temperature"),
        ("supervised", ["training.iterations=0"], {}, r"iterations"),
        ("supervised", ["training.precision=16-mixed"], {}, r"training\.precision"),
        ("mcsc", ["swin.pretrained=absent.pth"], {}, r"absent\.pth"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    small_data: PreparedData, tmp_path: Path, method: str, more: list[str], options: dict[str, Any],
    message: str,
) -> None:  # fmt: skip
    with pytest.raises(UserError, match=message):
        run(small_data, tmp_path / "run", method, *more, **options)
    assert not (tmp_path / "run").exists()


def test_a_method_without_unlabelled_images_is_refused(
    write_data: WriteData, tmp_path: Path
) -> None:
    data = write_data(tmp_path / "data")
    split = data.manifest.split.model_copy(update={"train": ("p1", "p2")})
    split = split.model_copy(update={"labelled_order": None})
    write_manifest(data.folder, data.manifest.model_copy(update={"split": split}))
    with pytest.raises(UserError, match=r"mcsc needs unlabelled images.*--method supervised"):
        run(data, tmp_path / "run", "mcsc")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_something_is_left_alone(
    small_data: PreparedData, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="run exists"):
        run(small_data, out, "supervised")
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]


def test_a_dry_run_writes_nothing(small_data: PreparedData, tmp_path: Path) -> None:
    console = Recorder()
    run(small_data, tmp_path / "run", "mcsc", console=console, dry_run=True)
    assert not (tmp_path / "run").exists()
    assert any("6 iterations" in sentence for sentence in console.said)


def test_another_seed_is_another_run(small_data: PreparedData, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(
            small_data,
            tmp_path / name,
            "supervised",
            f"training.seed={seed}",
            "training.iterations=2",
        )
    assert same(last(tmp_path / "a"), last(tmp_path / "b"))
    assert not same(last(tmp_path / "a"), last(tmp_path / "c"))


def test_poisoned_test_patients_change_nothing(
    small_data: PreparedData, write_data: WriteData, tmp_path: Path
) -> None:
    """A training uses neither labels of unlabelled cases nor those of the test part."""
    other = write_data(tmp_path / "data")
    for patient in ("p3", "p4", "p7", "p8"):
        np.save(other.folder / "labels" / f"{patient}.npy", np.ones((2, 36, 32), np.uint8))
    for name, data in (("a", small_data), ("b", other)):
        run(data, tmp_path / name, "cross-teaching", "training.iterations=2")
    assert same(last(tmp_path / "a"), last(tmp_path / "b"))


def test_epochs_are_passes_over_the_labelled_images(
    small_data: PreparedData, tmp_path: Path
) -> None:
    """Two patients have four slices, two per step: two iterations per epoch."""
    settings = [s for s in small_settings("supervised") if not s.startswith("training.iterations")]
    for method in ("supervised", "cross-teaching"):  # independent of the labelled images in a batch
        out = tmp_path / method
        train(small_data.folder, out, method=method, labelled="2", console=Quiet(),
              settings=[*settings, "training.epochs=2"])  # fmt: skip
        assert len(read_csv(out / "metrics.csv")) == 4
        facts = json.loads((out / "run.json").read_text())
        assert facts["origins"]["training.iterations"] == "2 passes over 4 labelled images"


def test_the_later_word_on_the_length_counts(small_data: PreparedData, tmp_path: Path) -> None:
    preset = tmp_path / "long.yaml"
    preset.write_text("training: {epochs: 9}\n")
    for setting, expected in (("iterations=5", (5, None)), ("epochs=2", (30_000, 2))):
        config = resolve_config(
            small_data.manifest, "supervised", str(preset), [f"training.{setting}"]
        ).config
        assert (config.training.iterations, config.training.epochs) == expected


def test_a_run_folder_is_trained_by_one_process_at_a_time(
    small_data: PreparedData, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    train(small_data.folder, out, method="supervised", labelled="2", seconds=0,
          settings=small_settings("supervised"), console=Quiet())  # fmt: skip
    before = sorted(out.rglob("*"))
    with (
        RunFolder(out).held(),
        pytest.raises(UserError, match="Another process is training in"),
    ):
        resume(out, console=Quiet())
    assert sorted(out.rglob("*")) == before
    assert resume(out, console=Quiet()).finished


@pytest.mark.parametrize(
    ("device", "able", "dimensions", "expected", "origin"),
    [
        ("cpu", {}, 2, "32-true", "a CPU without bf16 instructions"),
        ("cpu", {"avx512_bf16": True}, 2, "bf16-mixed", "a CPU with bf16 instructions"),
        ("cpu", {"amx_bf16": True}, 2, "bf16-mixed", "a CPU with bf16 instructions"),
        ("cpu", {"amx_bf16": True}, 3, "32-true", "cpu, and volumes"),
        ("cuda", {"bf16": True}, 2, "bf16-mixed", "cuda"),
        ("cuda", {}, 3, "16-mixed", "cuda"),
    ],
)
def test_precision_follows_the_device(
    small_data: PreparedData,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    able: dict[str, bool],
    dimensions: int,
    expected: str,
    origin: str,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: "bf16" in able)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    shape = [f"data.dimensions={dimensions}", "data.patch=[8, 16, 16]"]
    resolved = choose_precision(
        resolve_config(small_data.manifest, "supervised", None, shape), torch.device(device)
    )
    assert resolved.config.training.precision == expected
    assert resolved.origins["training.precision"] == f"the device, {origin}"
    said = resolve_config(small_data.manifest, "supervised", None, ["training.precision=32-true"])
    assert choose_precision(said, torch.device(device)) == said


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_of_volumes_on_a_cpu_is_refused(tmp_path: Path, precision: str) -> None:
    data = write_volumes(tmp_path / "data")
    settings = [*small_settings("supervised", 3), f"training.precision={precision}"]
    with pytest.raises(UserError, match="wrong gradients for volumes on a CPU"):
        train(data.folder, tmp_path / "run", method="supervised", labelled="2",
              settings=settings, device="cpu", console=Quiet())  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_a_class_that_no_labelled_case_shows_is_named(
    write_data: WriteData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_data(tmp_path / "data")
    for patient in ("p1", "p2"):
        file = data.folder / "labels" / f"{patient}.npy"
        label = np.load(file)
        np.save(file, np.where(label == 2, 0, label))
    flat = [name for name, entry in methods.table().items() if 2 in entry.dimensions]
    for number, method in enumerate(flat):
        out = tmp_path / str(number)
        settings = [*small_settings(method), "training.iterations=2"]
        train(data.folder, out, method=method, labelled="2", settings=settings)
        said = capsys.readouterr()
        assert "no labelled case contains square" in " ".join((said.out + said.err).split())
        losses = [float(row["loss"]) for row in read_csv(out / "metrics.csv")]
        assert np.isfinite(losses).all()


def test_labels_of_background_alone_are_refused(write_data: WriteData, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    for patient in ("p1", "p2"):
        np.save(data.folder / "labels" / f"{patient}.npy", np.zeros((2, 36, 32), np.uint8))
    with pytest.raises(UserError, match="contain only background"):
        run(data, tmp_path / "run", "supervised")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("method", ["mcsc", "plgcl"])
def test_measuring_gradients_changes_nothing(
    small_data: PreparedData, tmp_path: Path, method: str, precision: str
) -> None:
    weights = []
    for every in (0, 2):
        out = tmp_path / str(every)
        settings = [*small_settings(method), f"training.gradient_sizes_every={every}",
                    f"training.precision={precision}"]  # fmt: skip
        train(small_data.folder, out, method=method, labelled="2", settings=settings,
              console=Quiet())  # fmt: skip
        weights.append(last(out))
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    rows = read_csv(tmp_path / "2" / "gradients.csv")
    assert {row["step"] for row in rows} == {"1", "3", "5"}
    assert all(float(value) >= 0 for row in rows for key, value in row.items() if key != "term")

"""A small benchmark in the form of the workflow, with real evaluations of known masks."""

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from semiseg.config import RunConfig
from semiseg.data.manifest import Case, Manifest, PreparedData, Split, write_manifest
from semiseg.data.task import Intensity, Task
from semiseg.evaluation.protocols import STRICT, CaseScore, score_case
from semiseg.evaluation.summary import summarise, write_csv, write_json
from semiseg.methods.supervised import Supervised
from semiseg.training.checkpoints import save_weights
from semiseg.training.run_folder import RunFolder, RunSplit

CLASSES = ("background", "ring", "core")
SIDE, DEPTH = 40, 4
PATIENTS = tuple(f"p{number}" for number in range(8))
SPLIT = Split(train=PATIENTS[:4], validation=PATIENTS[4:5], test=PATIENTS[5:])
CONFIG = {
    "data": {"size": 32},
    "training": {"iterations": 20, "batch_size": 2, "labelled_batch_size": 1},
    "networks": {"unet": {"channels": (4, 8), "dropout": (0.0, 0.0)}},
}


def disc(centre: tuple[float, float], radius: float) -> NDArray[np.uint8]:
    """A ring (1) around a core (2) in every slice but the last."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(rows - centre[0], columns - centre[1])
    label = np.where(distance < radius / 2, 2, np.where(distance < radius, 1, 0))
    out = np.repeat(label[None], DEPTH, axis=0).astype(np.uint8)
    out[-1] = 0
    return out


def make_data(folder: Path) -> PreparedData:
    """Eight patients of one volume each, all labelled."""
    rng = np.random.default_rng(0)
    cases = []
    for index, patient in enumerate(PATIENTS):
        label = disc((18, 20 + index % 3), 9 + index % 4)
        image = (100 * label[:, None] + rng.integers(0, 60, (DEPTH, 1, SIDE, SIDE))).astype(
            np.int16
        )
        for kind, array in (("images", image), ("labels", label)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            np.save(folder / kind / f"{patient}_a.npy", array)
        cases.append(
            Case(
                identifier=f"{patient}_a", patient=patient, shape=image.shape, labelled=True,
                bounds=(0.0, 260.0), spacing=(8.0, 1.5, 1.0),
            )
        )  # fmt: skip
    task = Task(
        name="discs", kind="volumes", channels=1, classes=CLASSES,
        intensity=Intensity(kind="minmax"), median_shape=(DEPTH, SIDE, SIDE),
        spacing=(8.0, 1.5, 1.0),
    )  # fmt: skip
    write_manifest(folder, Manifest(task=task, layout="test", split=SPLIT, cases=tuple(cases)))
    return PreparedData(folder)


def evaluate(data: PreparedData, folder: Path, on: str, network: str, shift: int) -> None:
    """Score references moved by ``shift`` pixels, or (99) references without their core."""
    scores: list[CaseScore] = []
    for case in data.of_patients(data.manifest.split.part(on), labelled=True):  # type: ignore[arg-type]
        reference = np.array(data.label(case.identifier))
        guess = (
            np.where(reference == 2, 0, reference) if shift == 99 else np.roll(reference, shift, 2)
        )
        scores += score_case(guess, reference, CLASSES, case.spacing, STRICT, case=case.identifier)
    target = folder / "evaluation" / f"{on}-{network}"
    summary = summarise(scores, STRICT)
    write_csv(target / "cases.csv", summary)
    write_json(target / "summary.json", summary)


def make_run(
    data: PreparedData, folder: Path, method: str = "supervised", labelled: int = 2, seed: int = 0
) -> RunFolder:
    """A finished run with logs and random weights, not evaluated."""
    training = {**CONFIG["training"], "seed": seed}
    config = RunConfig.model_validate({"method": method, **CONFIG, "training": training})
    run = RunFolder(folder)
    split = RunSplit(split=SPLIT, labelled=PATIENTS[:labelled], budget=str(labelled))
    facts = {
        "data": str(data.folder), "command": "", "notes": [], "world_size": 1,
        "origins": {"training.iterations": "--set", "data.size": "the data"},
    }  # fmt: skip
    run.create(config, data.task, split, facts)
    (folder / "metrics.csv").write_text(
        "step,loss,supervised,extra,lr,seconds\n10,1.5,1.0,0.5,0.01,1\n20,0.5,0.499,0.001,0.0,2\n"
    )
    rows = "".join(f"{s},unet,{s / 40},{s / 50},{s / 33}\n" for s in (10, 20))
    (folder / "validation.csv").write_text("step,network,dice,ring,core\n" + rows)
    ended = {"iterations": 20, "best_step": 20, "best_dice": 0.5, "seconds": 65.0, "finished": True}
    run.write_json("finished.json", ended)
    if method == "supervised":
        torch.manual_seed(seed)
        save_weights(run.weights / "best.safetensors", Supervised(data.task, config), {})
    return run


def make_benchmark(
    data: PreparedData, folder: Path, runs: list[tuple[str, str, int, int, int]], on: str = "test"
) -> Path:
    """Runs (name, method, labelled, seed, shift of the masks); a negative shift is not scored."""
    planned = []
    for name, method, labelled, seed, shift in runs:
        place = f"runs/{name}-{labelled}-s{seed}"
        variant = {"name": name, "method": method, "sections": {}}
        planned.append(
            {"variant": variant, "labelled": str(labelled), "seed": seed, "folder": place}
        )
        if shift >= 0:
            make_run(data, folder / place, method, labelled, seed)
            evaluate(data, folder / place, on, "unet", shift)
            if method == "mcsc":
                evaluate(data, folder / place, on, "swin", 0)
    plan = {
        "data": str(data.folder), "preset": None, "settings": ["training.iterations=20"], "on": on,
        "protocol": None, "weights": "best",
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmark.json").write_text(json.dumps({"plan": plan, "runs": planned}))
    return folder

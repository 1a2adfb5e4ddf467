"""``semiseg embeddings``: plot a run's features by class and measure how well the classes separate.

The figure shows t-SNE of several feature spaces at several iterations, as in figure 3 of PLGCL.
"""

import dataclasses
import math
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.config import DataConfig
from semiseg.console import Console
from semiseg.csv_files import write_rows
from semiseg.data.batch_loader import slices_of
from semiseg.data.crops import pixels_by_class, read_crop
from semiseg.data.evenly_spaced import evenly_spaced
from semiseg.data.loader import SliceCache
from semiseg.data.manifest import Case, PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.data.volumes import VolumeStore
from semiseg.errors import UserError
from semiseg.files import atomic_output, remove_partials
from semiseg.reporting.figures import FIGURE_SUFFIXES, paper_colours, save_figure
from semiseg.reporting.scatter import Panel, scatter_grid
from semiseg.training.device import torch_device
from semiseg.training.run_folder import RunFolder
from semiseg.training.run_output import find_run
from semiseg.workflows.loading import load_method, open_data, part_of

Space = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclasses.dataclass(frozen=True)
class Separation:
    """The silhouette of one feature space, in [-1, 1]; None if there is only one class."""

    run: str
    space: str
    weights: str
    points: int
    silhouette: float | None


def embeddings(
    runs: Sequence[Path | str],
    out: Path | str,
    *,
    weights: Sequence[str] = ("best",),
    on: str = "validation",
    images: int = 32,
    spaces: Sequence[str] = (),
    device: str = "auto",
    console: Console = Console(),  # noqa: B008 - it has no state
) -> list[Separation]:
    """Embed images of held-out cases, colour the points by reference class, and score the separation.

    Args:
        runs: folders of runs on the same data.
        out: the figure (.png, .svg or .pdf). A CSV file of the same name contains the scores.
        weights: 'best', 'last', or 'step-N' if ``training.keep_weights_at`` kept them.
        on: validation, test or unlabelled.
        images: number of slices or pictures (in 3D, patches) with foreground, evenly spaced over the part.
        spaces: words in the names of the spaces to draw, such as 'encoder' or 'decoder'; default: all.
        device: auto, cpu or cuda.
        console: prints messages and progress.

    Raises:
        UserError: if weights or labels are missing, no space has a given name, or scikit-learn is not
            installed.
    """
    try:
        from sklearn.manifold import TSNE
        from sklearn.metrics import silhouette_score
    except ImportError:
        raise UserError(
            "semiseg embeddings needs scikit-learn: pip install 'semiseg[figures]'."
        ) from None
    target = Path(out)
    if target.suffix.lower() not in FIGURE_SUFFIXES:
        raise UserError(f"{target}: give a name that ends in .png, .svg or .pdf.")
    weights = list(dict.fromkeys(weights))
    if not weights:
        raise UserError(
            "--weights is empty: give best, last, or step-N for weights that were kept."
        )
    folders = {folder.resolve(): RunFolder(folder) for folder in map(find_run, runs)}
    titles = _titles(list(folders))
    collected: dict[tuple[str, str], list[Space | None]] = {}
    opened = [(folder, open_data(folder, None, "move them back")) for folder in folders.values()]
    task = opened[0][1].task
    for folder, data in opened:
        if data.task.classes != task.classes:
            raise UserError(
                f"{folder.folder} has other classes ({', '.join(data.task.classes)}) than "
                f"{opened[0][0].folder} ({', '.join(task.classes)}): draw them in separate figures."
            )
    for folder, data in opened:
        for column, name_of_weights in enumerate(weights):
            there = _spaces(folder, data, name_of_weights, on, images, device)
            for name in _named(there, spaces):
                key = (titles[folder.folder.resolve()], name)
                collected.setdefault(key, [None] * len(weights))[column] = there[name]
    found: list[Separation] = []
    rows: list[tuple[str, list[Panel | None]]] = []
    for (run, name), columns in collected.items():
        panels: list[Panel | None] = []
        for name_of_weights, space in zip(weights, columns, strict=True):
            if space is None:
                panels.append(None)
                continue
            points, classes = space
            several = 1 < len(np.unique(classes)) < len(classes)
            score = (
                float(silhouette_score(points, classes, metric="cosine")) if several else math.nan
            )
            row = Separation(run, name, name_of_weights, len(points), score if several else None)
            found.append(row)
            shown = "" if row.silhouette is None else f", silhouette {row.silhouette:.2f}"
            perplexity = min(30.0, (len(points) - 1) / 3)
            flat = TSNE(
                metric="cosine", init="random", perplexity=perplexity, random_state=0
            ).fit_transform(points)
            title = name if len(weights) == 1 else name_of_weights
            panels.append(Panel(flat, classes, f"{title}{shown}"))
            console.info(f"{run}, {name}, {name_of_weights}: {len(points)} points{shown}")
        rows.append((run if len(weights) == 1 else f"{run}\n{name}", panels))
    if len(weights) == 1:  # one row per run, with its spaces side by side
        by_run: dict[str, list[Panel | None]] = {}
        for run, panels in rows:
            by_run.setdefault(run, []).extend(panels)
        rows = list(by_run.items())
    table = target.with_suffix(".csv")
    for file in (target, table):
        remove_partials(file.parent, file.name)
    save_figure(scatter_grid(rows, task.classes, paper_colours(task)), target)
    heads = [field.name for field in dataclasses.fields(Separation)]
    with atomic_output(table) as partial:
        write_rows(partial, [heads, *(dataclasses.astuple(row) for row in found)])
    console.info(f"figure: {target}; numbers: {table}")
    return found


def _named(there: Collection[str], words: Sequence[str]) -> list[str]:
    """The spaces whose names contain one of the words; raises `UserError` if no name contains a word."""
    for word in words:
        if not any(word in name.split(", ") for name in there):
            raise UserError(f"--spaces {word}: choose among {'; '.join(there)}.")
    return [name for name in there if not words or not set(words).isdisjoint(name.split(", "))]


def _titles(folders: Sequence[Path]) -> dict[Path, str]:
    """Each folder's name, with as many parent folders as are needed to make the names unique."""
    depth = 1
    while len({folder.parts[-depth:] for folder in folders}) < len(folders):
        depth += 1
    return {folder: "/".join(folder.parts[-depth:]) for folder in folders}


@torch.no_grad()
def _spaces(
    run: RunFolder, data: PreparedData, weights: str, on: str, images: int, device: str
) -> dict[str, Space]:
    """The method's spaces on evenly chosen images with foreground."""
    where = torch_device(device)
    config = run.config()
    method = load_method(run, weights, where)
    cases = part_of(run, data, on)
    choose = _slices if config.data.crop_size is None else _crops
    if config.data.dimensions == 3:
        choose = _patches
    chosen = choose(data, cases, config.data, images)
    if not chosen:
        raise UserError(
            f"No {on} case of {run.folder} contains a structure to embed: choose another --on."
        )
    pixels = torch.stack([image for image, _ in chosen]).to(where)
    labels = torch.stack([label for _, label in chosen if label is not None]).long().to(where)
    torch.manual_seed(0)  # the same pixels for every run and stage
    found = method.embeddings(pixels, labels)
    return {name: (x.cpu().numpy(), y.cpu().numpy()) for name, (x, y) in found.items()}


Example = tuple[Tensor, Tensor | None]
"""An image and its label, at the network's input size."""


def _slices(
    data: PreparedData, cases: Sequence[Case], config: DataConfig, count: int
) -> list[Example]:
    """Slices with foreground, evenly spaced over the cases."""
    cache = SliceCache(data, config.size, config.cache_mb)
    return [cache.get(case, index, True) for case, index in _with_foreground(data, cases, count)]


def _with_foreground(
    data: PreparedData, cases: Sequence[Case], count: int
) -> list[tuple[Case, int]]:
    found = [
        (case, index)
        for case, index in slices_of(cases)
        # ignored pixels become 0, as the background
        if np.any(np.asarray(data.label(case.identifier)[index]) % IGNORE_INDEX)
    ]
    return [found[i] for i in evenly_spaced(len(found), count)]


def _crops(
    data: PreparedData, cases: Sequence[Case], config: DataConfig, count: int
) -> list[Example]:
    """One crop per slice with foreground, centred on it, for evenly spaced slices."""
    store = VolumeStore(data, None, 0)
    side, chosen = config.side, []
    for case, index in _with_foreground(data, cases, count):
        pixels = pixels_by_class(data.label_slice(case.identifier, index), len(data.task.classes))
        centre = np.concatenate(pixels).mean(0).round().astype(np.int64)
        chosen.append(read_crop(store, (case, index), centre - side // 2, (side, side), True))
    return chosen


def _patches(
    data: PreparedData, cases: Sequence[Case], config: DataConfig, count: int
) -> list[Example]:
    """One patch per case, centred on its foreground, for evenly spaced cases."""
    store = VolumeStore(data, config.spacing, config.cache_mb)
    found = [case for case in cases if store.places(case)]
    chosen = []
    for i in evenly_spaced(len(found), count):
        centre = np.concatenate(store.places(found[i])).mean(0).round().astype(int)
        start = centre - np.floor_divide(config.sides, 2)
        chosen.append(store.box(found[i], start.tolist(), config.sides, True))
    return chosen

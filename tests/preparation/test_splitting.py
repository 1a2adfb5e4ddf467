"""What belongs together stays in one part of a drawn split, and is named where a split is given."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import mask_replicas
from semiseg.console import Quiet
from semiseg.data.manifest import Manifest
from semiseg.data.splits import make_split
from semiseg.preparation.label_maps import all_alike, label_map
from semiseg.workflows.prepare import prepare


def test_groups_stay_together_and_single_patients_are_drawn_as_before() -> None:
    names = [f"p{n}" for n in range(12)]
    plain = make_split(names, names, (0.5, 0.25, 0.25), 3)
    assert make_split(names, names, (0.5, 0.25, 0.25), 3, [("p1",)]) == plain
    for seed in range(20):
        split = make_split(
            names, names[:10], (0.5, 0.25, 0.25), seed, [("p1", "p2"), ("p3", "p11")]
        )
        parts = (split.train, split.validation, split.test)
        assert sorted(p for part in parts for p in part) == sorted(names)
        assert 1 <= len(split.validation) <= 4
        assert 1 <= len(split.test) <= 4
        for group in ({"p1", "p2"}, {"p3", "p11"}):
            assert sum(bool(group & set(part)) for part in parts) == 1
    one = make_split(names, names, (0.5, 0.25, 0.25), 0, [names[:5], names[5:11]])
    assert len(one.validation) > 0  # the smallest unit, however large
    assert len(one.train) > 0


def pictures(folder: Path, names: Sequence[str], twins: Sequence[tuple[int, int]] = ()) -> None:
    """Pictures of coarse noise; the second of each twin is a brighter copy of the first."""
    copied = {second: first for first, second in twins}
    for number, name in enumerate(names):
        rng = np.random.default_rng(copied.get(number, number))
        coarse = rng.integers(20, 200, (12, 12))
        pixels = (np.kron(coarse, np.ones((4, 4))) + 10 * (number in copied)).astype(np.uint8)
        mask = np.zeros((48, 48), bool)
        mask[3 + number : 9 + number, 5:20] = True
        mask_replicas.save_picture(folder / f"{name}.png", pixels)
        mask_replicas.save_picture(folder / f"{name}_mask.png", mask)


def part_of(manifest: Manifest, patient: str) -> str:
    return next(p for p in ("train", "validation", "test") if patient in manifest.split.part(p))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(3))
def test_near_duplicates_stay_in_one_part(tmp_path: Path, seed: int) -> None:
    pictures(tmp_path / "set", [f"n{n:02d}" for n in range(12)], [(0, 7), (1, 8), (2, 9), (3, 10)])
    out = tmp_path / "data"
    manifest = prepare(tmp_path / "set", out, seed=seed, console=Quiet())
    for first in range(4):
        assert part_of(manifest, f"n{first:02d}") == part_of(manifest, f"n{first + 7:02d}")
    (note,) = (note for note in manifest.notes if "nearly identical" in note)
    assert "4 pairs of nearly identical images of different patients (n0" in note
    assert "stay in one part of the split" in note
    assert prepare(tmp_path / "set", out, seed=seed, console=Quiet()) == manifest  # up to date


def test_a_given_split_is_kept_and_said(tmp_path: Path) -> None:
    pictures(tmp_path / "set", [f"n{n:02d}" for n in range(12)], [(0, 7)])
    names = [f"n{n:02d}" for n in range(12)]
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": names[:6], "validation": [], "test": names[6:]}))
    manifest = prepare(tmp_path / "set", tmp_path / "data", split=path, console=Quiet())
    assert list(manifest.split.train) == names[:6]
    (note,) = (note for note in manifest.notes if "nearly identical" in note)
    assert (
        "1 pair of nearly identical images is in different parts of the split (n00 and n07)" in note
    )


def test_names_of_slices_stay_in_one_part(tmp_path: Path) -> None:
    names = [f"p{p}_{s}" for p in range(6) for s in range(2)]
    pictures(tmp_path / "set", names)
    manifest = prepare(tmp_path / "set", tmp_path / "data", console=Quiet())
    for patient in range(6):
        assert part_of(manifest, f"p{patient}_0") == part_of(manifest, f"p{patient}_1")
    assert any("names such as p0_0 and p0_1 may be slices" in note for note in manifest.notes)


def test_maps_of_labels() -> None:
    label = np.zeros((2, 40, 30), np.uint8)
    label[:, 5:35, 4:26] = 1
    label[0, :5] = 255
    one = label_map(label)
    assert one.shape == (16, 16)
    assert one.sum() == pytest.approx(30 * 22 / (40 * 30) * 256, rel=0.05)
    other = label_map(np.roll(label, 4, 2))
    assert all_alike([one, one, label_map(label[:1])])
    assert not all_alike([one, other, one])
    assert not all_alike([one, one])
    assert not all_alike([one * 0, one * 0, one * 0])

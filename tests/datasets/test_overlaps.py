"""Masks of several names that overlap: structures within others, and readers of one structure."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

import mask_replicas
from consoles import Listening
from semiseg.data.manifest import PreparedData
from semiseg.datasets import detect
from semiseg.datasets.base import Options, Scan
from semiseg.datasets.overlaps import MOST_IMAGES, PER_PAIR, Overlap, drawing_order
from semiseg.datasets.pairs import Pair
from semiseg.datasets.readers import looks_like_initials
from semiseg.errors import UserError
from semiseg.workflows.prepare import prepare

Mask = NDArray[np.bool_]
SIDE = 32


def disc(row: float, column: float, radius: float) -> Mask:
    return mask_replicas.disc((SIDE, SIDE), row, column, radius)


def pictures(folder: Path, masks: dict[str, list[Mask]], form: str = "{n}_{name}") -> None:
    """A picture per mask of the longest list, and masks of each name; None leaves a mask out."""
    for n in range(max(map(len, masks.values()))):
        noise = np.random.default_rng(n).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
        mask_replicas.save_picture(folder / "images" / f"{n}.png", noise)
        for name, own in masks.items():
            if n < len(own):
                path = folder / "masks" / f"{form.format(n=n, name=name)}.png"
                mask_replicas.save_picture(path, own[n])


def volumes(folder: Path, masks: dict[str, list[Mask]]) -> None:
    def save(path: Path, data: NDArray[np.generic]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), path)

    for n in range(max(map(len, masks.values()))):
        noise = np.random.default_rng(n).normal(size=(SIDE, SIDE, 2)).astype(np.float32)
        save(folder / f"P{n}" / "ct.nii.gz", noise)
        for name, own in masks.items():
            if n < len(own):
                mask = np.repeat(own[n][..., None], 2, 2).astype(np.uint8)
                save(folder / f"P{n}" / f"{name}.nii.gz", mask)


def scan(folder: Path, **options: object) -> Scan:
    return detect(folder)[0].scan(folder, Options(**options))  # type: ignore[arg-type]


DISCS = [disc(15 + n, 16, 10) for n in range(4)]
CUPS = [disc(14 + n, 15, 4 + n) for n in range(4)]  # up to a Dice of 0.7


@pytest.mark.parametrize("write", [pictures, volumes])
@pytest.mark.parametrize("names", [("disc", "cup"), ("a_disc", "b_cup")])
def test_a_structure_within_another_covers_it(
    tmp_path: Path, write: object, names: tuple[str, str]
) -> None:
    assert callable(write)
    outer, inner = names
    ends = "_mask" if write is volumes else ""
    write(tmp_path / "in", {f"{outer}{ends}": DISCS, f"{inner}{ends}": CUPS[:3]})
    console = Listening()
    prepare(tmp_path / "in", tmp_path / "out", console=console)
    data = PreparedData(tmp_path / "out")
    assert data.manifest.task.classes == ("background", outer, inner)
    assert any(f"({inner} in {outer})" in line and "3 images" in line for line in console.said)
    assert any(f"{inner} in {outer}" in note for note in data.manifest.notes)
    for case, whole, cup in zip(scan(tmp_path / "in").cases, DISCS, CUPS[:3], strict=False):
        label = case.read().label
        assert label is not None
        np.testing.assert_array_equal(label[0], np.where(cup, 2, whole.astype(int)))


def test_the_order_of_the_user_counts(tmp_path: Path) -> None:
    pictures(tmp_path / "in", {"disc": DISCS, "cup": CUPS})
    assert scan(tmp_path / "in", classes=("disc", "cup")).classes == ("background", "disc", "cup")
    console = Listening()
    prepare(tmp_path / "in", tmp_path / "out", classes=["cup", "disc"], console=console)
    assert PreparedData(tmp_path / "out").manifest.task.classes == ("background", "cup", "disc")
    covered = "'cup' is completely covered by other classes in 4 pictures (such as images/0.png)"
    assert any(covered in line for line in console.said)


def test_structures_in_structures(tmp_path: Path) -> None:
    masks = {
        "c_whole": [disc(16, 16, 13)],
        "b_core": [disc(16, 16, 9)],
        "a_spot": [disc(16, 16, 4)],
    }
    pictures(tmp_path, masks | {"z_other": [disc(3, 3, 2)]})
    assert scan(tmp_path).classes == ("background", "c_whole", "b_core", "a_spot", "z_other")


READERS = [np.roll(mask, 3, 0) for mask in DISCS]


@pytest.mark.parametrize("form", ["{n}_{name}", "{name}/{n}", "{n}_mask_{name}"])
def test_readers_are_not_classes(tmp_path: Path, form: str) -> None:
    pictures(tmp_path, {"MK": DISCS, "HB": READERS[:2]}, form)
    with pytest.raises(UserError) as raised:
        scan(tmp_path)
    assert str(raised.value) == (
        "The masks 'HB' and 'MK' mark mostly the same pixels (Dice 0.81 in 2 images with both): if several "
        "readers drew one structure, choose one (--reader HB or --reader MK); if these are different "
        "structures, give --classes HB,MK, in which later ones cover earlier ones."
    )
    assert scan(tmp_path, classes=("HB", "MK")).classes == ("background", "HB", "MK")
    of_mk, of_hb = (scan(tmp_path, reader=reader) for reader in ("mk", "HB"))
    assert of_mk.classes is None
    assert [case.has_label for case in of_mk.cases] == [True] * 4
    assert [case.has_label for case in of_hb.cases] == [True, True, False, False]
    label = of_hb.cases[0].read().label
    assert label is not None
    np.testing.assert_array_equal(label[0] != 0, READERS[0])
    assert any("2 masks not by the reader mk left out" in note for note in of_mk.notes)
    assert any("without one by HB count as unlabelled (2)" in note for note in of_hb.notes)
    with pytest.raises(UserError, match=r"--reader XY: no mask has this reader .*HB, MK"):
        scan(tmp_path, reader="XY")


def test_a_second_reader_of_a_named_structure(tmp_path: Path) -> None:
    volumes(tmp_path, {"liver_mask": DISCS, "liver_mask_MK": READERS})
    choice = "--labels liver_mask or --reader MK.*--classes liver,liver_MK"
    with pytest.raises(UserError, match=choice):
        scan(tmp_path)
    for options, masks in (({"labels": "liver_mask"}, DISCS), ({"reader": "MK"}, READERS)):
        result = scan(tmp_path, **options)
        assert len(result.cases) == 4
        label = result.cases[1].read().label
        assert label is not None
        np.testing.assert_array_equal(label[0] != 0, masks[1])


def test_initials_within_others_are_readers(tmp_path: Path) -> None:
    inner = [disc(15 + n, 16, 8) for n in range(4)]  # one always draws inside
    pictures(tmp_path / "people", {"MK": DISCS, "HB": inner})
    with pytest.raises(UserError, match="--reader HB or --reader MK"):
        scan(tmp_path / "people")
    pictures(tmp_path / "structures", {"OC": inner, "OD": DISCS})
    assert scan(tmp_path / "structures").classes == ("background", "OD", "OC")
    assert looks_like_initials("liver", "liver_MK")
    assert not looks_like_initials("liver", "liver_tumour")


@pytest.mark.parametrize(
    ("sizes", "both", "within"),
    [
        ((20, 100), 20, True),
        ((20, 100), 17, False),  # sticks out
        ((80, 100), 79, True),
        ((100, 103), 97, False),  # two readers who agree
        ((50, 50), 50, False),
    ],
)
def test_within(sizes: tuple[int, int], both: int, within: bool) -> None:
    assert Overlap(sizes, both).within(0) == within
    assert Overlap(sizes[::-1], both).within(1) == within
    assert not Overlap(sizes, both).within(1)


def test_structures_beside_each_other_keep_their_order(tmp_path: Path) -> None:
    left, right = [disc(16, 8, 6)] * 3, [disc(16, 18, 6)] * 3  # they touch
    pictures(tmp_path, {"b": left, "a": right})
    result = scan(tmp_path)
    assert result.classes == ("background", "a", "b")
    assert not any("within" in note for note in result.notes)


def test_only_a_sample_is_read() -> None:
    names = ("a", "b")
    pairs = [
        Pair(str(n), Path(f"{n}"), None, None, tuple((name, Path(f"{n}{name}")) for name in names))
        for n in range(300)
    ]
    read: list[str] = []

    def masks(pair: Pair) -> list[tuple[str, Mask]]:
        read.append(pair.identifier)
        return [("a", CUPS[0]), ("b", DISCS[0])]

    assert drawing_order(pairs, ("background", *names), masks)[0] == ("background", "b", "a")
    assert read == ["0", "50", "100", "150", "200", "250"]
    assert len(read) == PER_PAIR < MOST_IMAGES

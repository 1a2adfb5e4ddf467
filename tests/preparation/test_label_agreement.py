"""Labels whose values fit most files and not one of them."""

from pathlib import Path

import numpy as np
import pytest

import replicas
from semiseg.console import Quiet
from semiseg.errors import UserError
from semiseg.preparation.label_agreement import check_agreement
from semiseg.workflows.prepare import prepare

USUAL = [(f"c{number}", (0, 1)) for number in range(5)]


@pytest.mark.parametrize(
    ("odd", "ignoring", "sentence"),
    [
        ((0, 255), False, "contains 255 but no class code, while other labels contain 1"),
        ((0, 255), True, None),
        ((0, 2), False, "contains code 2, but all 5 others contain 1 instead"),
        ((0, 2, 255), False, "contains code 2, but all 5 others contain 1 instead"),
        ((1, 2), False, "contains 1 and 2 and no background, while all 5 others contain 0"),
        ((1,), False, None),
        ((0, 1, 2), False, None),
        ((0,), False, None),
        ((0, 1, 255), False, None),
    ],
)
def test_one_label_among_others(odd: tuple[int, ...], ignoring: bool, sentence: str | None) -> None:
    labels = [*USUAL, ("odd", odd)]
    if sentence is None:
        check_agreement(labels, ignoring)
        return
    with pytest.raises(UserError, match=f"The label of odd {sentence}"):
        check_agreement(labels, ignoring)


def test_few_or_various_labels_say_nothing() -> None:
    check_agreement([("a", (0, 1)), ("b", (0, 2))], False)
    check_agreement([*USUAL, ("d", (0, 3)), ("e", (0, 2))], False)


def test_a_mask_of_0_and_255_among_masks_of_0_and_1(tmp_path: Path) -> None:
    """Its structure would be ignored silently."""
    source = tmp_path / "set"
    for number in range(5):
        label = (replicas.blocks(number) > 1).astype(np.uint8)
        replicas.save(source / f"images/c{number}.nii.gz", replicas.scan_of(label, number))
        label *= 255 if number == 3 else 1
        replicas.save(source / f"labels/c{number}.nii.gz", label)
    with pytest.raises(UserError, match=r"The label of images/c3\.nii\.gz contains 255"):
        prepare(source, tmp_path / "data", console=Quiet())
    named = prepare(source, tmp_path / "data", console=Quiet(), classes=["1=heart", "255=heart"])
    assert named.task.classes == ("background", "heart")
    prepare(source, tmp_path / "other", console=Quiet(), ignore_value=255)

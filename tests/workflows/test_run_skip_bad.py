"""``run`` with images that cannot be read: left out once, and not taken for new ones afterwards."""

from pathlib import Path

import pytest

import replicas
from semiseg.console import Quiet
from semiseg.errors import UserError
from semiseg.training.run_output import RunOutput
from semiseg.workflows.run.planning import prepare_data, read_source
from semiseg.workflows.run.request import RunRequest


def request(source: Path, skip_bad: bool) -> RunRequest:
    return RunRequest(
        source, "all", "supervised", None, (), None, None, 0, "cpu", None, {"skip_bad": skip_bad}
    )


def test_images_that_cannot_be_read_are_left_out_of_every_part(tmp_path: Path) -> None:
    source, output = tmp_path / "polyps", RunOutput(tmp_path / "out")
    for folder in ("images", "masks"):
        (source / folder).mkdir(parents=True)
    for number in range(14):
        picture, disc = replicas.photograph(number)
        picture.save(source / "images" / f"n{number:02d}.png")
        replicas.Image.fromarray(disc).save(source / "masks" / f"n{number:02d}.png")
    for number in (2, 9):
        (source / "images" / f"n{number:02d}.png").write_bytes(b"")
    with pytest.raises(UserError, match="2 of 14 images cannot be used"):
        prepare_data(output, read_source(output, request(source, False)), Quiet())
    asked = request(source, True)
    assert "skip_bad" not in asked.arguments
    prepare_data(output, read_source(output, asked), Quiet())
    again = read_source(output, asked)
    data = prepare_data(output, again, Quiet())
    split = data.manifest.split
    named = {*split.train, *split.validation, *split.test, *again.decision.held_out}
    assert named == {f"n{number:02d}" for number in range(14)} - {"n02", "n09"}
    last = read_source(output, asked)
    assert last.prepared
    assert last.changes == []
    assert any("--skip-bad" in note for note in data.manifest.notes)

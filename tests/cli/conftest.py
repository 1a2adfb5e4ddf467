"""Data and runs for the command-line tests, which must not change them."""

from pathlib import Path

import pytest
from commandline import call, draw_pictures, process, small, well

from semiseg.synthetic.phantom import write_phantom


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten patients of two volumes; the last two have no labels."""
    folder = tmp_path_factory.mktemp("phantom") / "hearts"
    write_phantom(folder, 10, seed=3, unlabelled=(9, 10), size=(48, 48), slices=4)
    return folder


@pytest.fixture(scope="session")
def data(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom, prepared in a new process."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    said = well(process("prepare", phantom, "-o", folder))
    assert "found: 10 patients = 20 volumes = 80 slices" in said.out
    assert "unlabelled: 2 patients = 4 volumes = 16 slices" in said.out
    return folder


@pytest.fixture(scope="session")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MCSC, trained on two labelled patients in a new process."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    said = well(
        process("train", data, "--method", "mcsc", "--labelled", "2", "-o", folder, *small())
    )
    assert "labelled:   2 patients = 4 volumes = 16 slices" in said.out
    assert "training.iterations = 6  (from --set)" in said.out
    assert "trained 6 iterations" in said.out
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine pictures, eight of them with a mask."""
    folder = tmp_path_factory.mktemp("pictures") / "polyps"
    draw_pictures(folder)
    return folder


@pytest.fixture(scope="session")
def picture_data(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures, prepared."""
    folder = tmp_path_factory.mktemp("picture-data") / "data"
    said = well(call("prepare", pictures, "-o", folder))
    assert "labelled: 8 pictures" in said.out
    return folder


@pytest.fixture(scope="session")
def picture_run(picture_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A U-Net trained on the labelled pictures."""
    folder = tmp_path_factory.mktemp("picture-run") / "run"
    well(
        call(
            "train", picture_data, "--method", "supervised", "--labelled", "5", "-o", folder,
            *small(),
        )
    )  # fmt: skip
    return folder

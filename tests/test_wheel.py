"""The wheel: its contents, and its copy of semiseg without the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
# The build requirements are those of the test environment, so that no network is needed.
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def run(*command: str | Path, cwd: Path, path: Path | None = None) -> str:
    """Run a command with only `path` on PYTHONPATH and return its standard output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder)
    run(*PIP, "wheel", *options, ROOT, cwd=folder)
    (built,) = folder.glob("semiseg-*-py3-none-any.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that contains only the installed wheel."""
    folder = tmp_path_factory.mktemp("installed")
    run(*PIP, "install", "--no-deps", "--no-index", "--target", folder, wheel, cwd=folder)
    return folder


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    source = ROOT / "src"
    expected = {
        file.relative_to(source).as_posix()
        for file in (source / "semiseg").rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    packaged = {name for name in names_in(wheel) if ".dist-info/" not in name}
    assert packaged == expected
    # Presets and studies, templates of pages, splits, and the marker of a typed package.
    kinds = {PurePosixPath(name).suffix for name in packaged}
    assert kinds >= {".yaml", ".j2", ".json", ".typed"}


def test_the_wheel_holds_licence_and_no_tests(wheel: Path) -> None:
    names = names_in(wheel)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"semiseg"}
    assert not any("test_" in name or "conftest" in name for name in names)


def test_the_installed_package_is_the_one_that_runs(installed: Path, tmp_path: Path) -> None:
    found = run(
        sys.executable, "-P", "-c", "import semiseg; print(semiseg.__file__)",
        cwd=tmp_path, path=installed,
    )  # fmt: skip
    assert Path(found.strip()) == installed / "semiseg" / "__init__.py"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--help"], "Usage: semiseg"),
        (["presets"], "mcsc-acdc"),
        (["presets", "mcsc-acdc"], "contrast_weight"),
        (["methods"], "cross-teaching"),
        (["methods", "mcsc"], "mcsc.temperature"),
        (["datasets"], "acdc"),
    ],
)
def test_listings_from_the_wheel(
    installed: Path, tmp_path: Path, words: list[str], expected: str
) -> None:
    assert expected in run(installed / "bin" / "semiseg", *words, cwd=tmp_path, path=installed)


def test_a_short_demo_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """All steps from data to page, with one iteration per training."""
    said = run(
        installed / "bin" / "semiseg", "demo", "-o", "demo", "--patients", "10", "--labelled", "1",
        "--iterations", "1", "--jobs", "1", "--device", "cpu", cwd=tmp_path, path=installed,
    )  # fmt: skip
    assert "The demo took" in said
    page = (tmp_path / "demo" / "bench" / "report.html").read_text(encoding="utf-8")
    assert "</html>" in page

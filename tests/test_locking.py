"""Locks of output folders, and temporary files of killed processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from semiseg.errors import UserError
from semiseg.files import LOCK, PREFIX, atomic_outputs, check_links, remove_partials
from semiseg.locking import locked, one_at_a_time, tidy

DEAD = 2**22 + 1  # larger than any process number of Linux


def test_one_process_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with locked(folder, "training"):
        with pytest.raises(UserError, match=f"Another process is training in {folder}"):
            locked(folder, "training").__enter__()
        program = (
            "import sys; from pathlib import Path; from semiseg.locking import locked\n"
            "with locked(Path(sys.argv[1]), 'predicting'): pass"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder)], capture_output=True, text=True
        )
        assert "Another process is training" in done.stderr
        (folder / "result").touch()
    assert [path.name for path in folder.iterdir()] == ["result"]
    with locked(folder, "training"):  # free again
        pass


def test_a_folder_without_a_result_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), locked(tmp_path / "a" / "b", "training"):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        locked(tmp_path / "file", "training").__enter__()


def test_a_dry_run_takes_no_lock(tmp_path: Path) -> None:
    @one_at_a_time("working")
    def work(out: Path, dry_run: bool = False) -> bool:
        return (out / LOCK).exists()

    assert work(tmp_path) is True
    assert work(tmp_path, dry_run=True) is False
    assert work(out=tmp_path) is True
    assert list(tmp_path.iterdir()) == []


def test_temporary_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    stale = tmp_path / f"{PREFIX}{DEAD}-a.csv"
    alive = tmp_path / f"{PREFIX}1-a.csv"  # the first process of the machine
    other = tmp_path / f"{PREFIX}x-a.csv"  # not one of ours
    for path in (stale, alive, other):
        path.touch()
    remove_partials(tmp_path, "b.csv")
    assert stale.exists()
    with locked(tmp_path, "training"):
        assert sorted(tmp_path.glob(f"{PREFIX}*")) == [alive, other]
    stale.touch()
    remove_partials(tmp_path, "a.csv")
    assert not stale.exists()


def test_temporary_files_below_a_folder_are_removed_and_nothing_else(tmp_path: Path) -> None:
    folder, outside, used = tmp_path / "out", tmp_path / "outside", tmp_path / "out" / "used"
    deep = folder / "a" / ".hidden"
    for place in (deep, outside, used / "in"):
        place.mkdir(parents=True)
    (folder / "link").symlink_to(outside, target_is_directory=True)
    name = f"{PREFIX}{DEAD}-b.csv"
    gone = [folder / name, folder / "a" / name, deep / name]
    kept = [
        outside / name, used / name, used / "in" / name, deep / f"{PREFIX}x-b.csv", deep / "b.csv",
        deep / f"{PREFIX}1-b.csv",
    ]  # fmt: skip
    for path in (*gone, *kept):
        path.touch()
    (deep / f"{PREFIX}{DEAD}-c").symlink_to(deep / "b.csv")
    (deep / f"{PREFIX}{DEAD}-d").mkdir()
    (deep / LOCK).write_text("killed")  # the lock of a killed process does not count
    with locked(used, "training"):
        (used / name).touch()  # of another machine, whose processes have other numbers
        tidy(folder)
        assert (used / LOCK).read_text() == "training"
    assert not [path for path in gone if path.exists()]
    assert all(path.exists() for path in kept)
    assert (deep / f"{PREFIX}{DEAD}-c").is_symlink()
    assert (deep / f"{PREFIX}{DEAD}-d").is_dir()


def test_a_folder_in_use_is_not_tidied(tmp_path: Path) -> None:
    with locked(tmp_path, "training"):
        stale = tmp_path / f"{PREFIX}{DEAD}-a.csv"
        stale.touch()
        tidy(tmp_path)
        assert stale.exists()


def test_several_files_are_replaced_together_or_not_at_all(tmp_path: Path) -> None:
    paths = [tmp_path / "a.csv", tmp_path / "b.json"]

    def write(full: bool) -> None:
        with atomic_outputs(paths) as (first, second):
            first.write_text("new")
            if full:
                raise OSError(28, "No space left on device", str(second))
            second.write_text("new")

    with pytest.raises(UserError, match=r"b\.json cannot be written"):
        write(full=True)
    assert list(tmp_path.iterdir()) == []
    write(full=False)
    assert [path.read_text() for path in paths] == ["new", "new"]


def test_links_that_lead_out_are_found(tmp_path: Path) -> None:
    run, victim = tmp_path / "run", tmp_path / "victim"
    (run / "weights").mkdir(parents=True)
    victim.mkdir()
    (run / "same").symlink_to(run / "weights", target_is_directory=True)
    check_links(run, "remove it")
    (run / "weights" / "last").symlink_to(victim, target_is_directory=True)
    with pytest.raises(UserError, match="last is a link that leads out of"):
        check_links(run, "remove it")

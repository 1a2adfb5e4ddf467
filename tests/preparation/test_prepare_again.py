"""``prepare`` in parallel, resumed, repeated, and after changes of the source."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from consoles import Listening
from semiseg.console import Quiet
from semiseg.data.manifest import Manifest, PreparedData
from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.preparation import reading as module
from semiseg.preparation.ordered_map import ordered_map
from semiseg.preparation.records import Record, read_records
from semiseg.preparation.store import DataWriter
from semiseg.workflows.prepare import prepare

CASES = 12


def photograph(source: Path, number: int, labelled: bool = True) -> None:
    """A picture of 24 x 32 with a disc; each third mask is lossy."""
    rng = np.random.default_rng(number)
    disc = np.hypot(*np.mgrid[-12:12, -16:16]) < rng.integers(6, 11)
    for kind in ("images", "masks"):
        (source / kind).mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 256, (24, 32, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(source / "images" / f"n{number:02d}.png")
    if labelled:
        grey = Image.fromarray(disc * np.uint8(255))
        name = f"n{number:02d}.{'jpg' if number % 3 == 0 else 'png'}"
        grey.save(source / "masks" / name, quality=95)


@pytest.fixture
def polyps(tmp_path: Path) -> Path:
    source = tmp_path / "polyps"
    for number in range(CASES):
        photograph(source, number, labelled=number < 9)
    return source


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Identifiers of the cases that were read, in the order of completion."""
    read: list[str] = []
    measure = module.measure

    def measured(case: Any, *rest: Any) -> Record:
        read.append(case.identifier)
        return measure(case, *rest)

    monkeypatch.setattr(module, "measure", measured)
    return read


def run(source: Path, out: Path, **options: Any) -> Manifest:
    return prepare(source, out, console=Quiet(), **options)


def said(source: Path, out: Path, **options: Any) -> str:
    console = Listening()
    prepare(source, out, console=console, **options)
    return "\n".join(console.said)


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int, number: int = signal.SIGINT) -> None:
    """Send a signal to this process once, after ``after`` cases are written."""
    # the tests may run as a background job of a shell, which ignores Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    add, count = DataWriter.add, [0]

    def counted(self: DataWriter, volume: Volume, record: Record) -> None:
        add(self, volume, record)
        count[0] += 1
        if count[0] == after:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(DataWriter, "add", counted)


@pytest.mark.parametrize("jobs", [2, 5])
def test_the_result_does_not_depend_on_jobs(polyps: Path, tmp_path: Path, jobs: int) -> None:
    assert run(polyps, tmp_path / "one", jobs=1) == run(polyps, tmp_path / "many", jobs=jobs)
    assert tree(tmp_path / "one") == tree(tmp_path / "many")


def test_results_come_in_order_and_errors_too() -> None:
    def work(number: int) -> int:
        time.sleep(0.02 if number % 4 == 0 else 0)
        if number in (21, 22, 30):
            raise UserError(f"{number} is wrong")
        done.append(number)
        return number

    done: list[int] = []
    got: list[int] = []
    with pytest.raises(UserError, match="21 is wrong"):
        got.extend(ordered_map(work, range(1000), 4))
    assert got == list(range(21))
    assert set(range(21)) <= set(done)
    assert len(done) < 200  # others were not started
    assert list(ordered_map(lambda n: -n, range(50), 3)) == [-n for n in range(50)]


def test_all_unreadable_files_are_named_at_once(polyps: Path, tmp_path: Path) -> None:
    for number in (4, 7, 8):
        (polyps / "masks" / f"n{number:02d}.png").write_bytes(b"no picture")
    sentences = set()
    for jobs in (1, 4):
        with pytest.raises(
            UserError, match=r"3 of 12 images cannot be used \(.*n04.*n07.*n08"
        ) as raised:
            run(polyps, tmp_path / "data", jobs=jobs)
        sentences.add(str(raised.value))
    assert len(sentences) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"polyps", ".data.partial"}
    lines = said(polyps, tmp_path / "data", skip_bad=True)
    assert "resuming: 9 of 12" in lines
    assert "n04.png cannot be read as a picture, because it is a text" in lines
    assert "The same holds for 2 more files: masks/n07.png, masks/n08.png." in lines
    assert "3 images that cannot be read left out by --skip-bad (images/n04.png" in lines
    data = PreparedData(tmp_path / "data")
    names = {case.identifier for case in data.manifest.cases}
    assert len(names) == 9
    assert not names & {"n04", "n07", "n08"}
    assert {
        *data.manifest.split.train,
        *data.manifest.split.validation,
        *data.manifest.split.test,
    } == names
    assert any("left out by --skip-bad" in note for note in data.manifest.notes)
    assert "nothing to do" in said(polyps, tmp_path / "data", skip_bad=True)
    with pytest.raises(UserError, match="3 images new"):
        run(polyps, tmp_path / "data")
    for number in (4, 7, 8):
        photograph(polyps, number)
    assert "reusing: 9 of 12" in said(polyps, tmp_path / "data", skip_bad=True, overwrite=True)
    assert len(PreparedData(tmp_path / "data").manifest.cases) == 12


def test_without_any_readable_label_nothing_is_left(polyps: Path, tmp_path: Path) -> None:
    for mask in (polyps / "masks").iterdir():
        mask.write_bytes(b"no picture")
    with pytest.raises(UserError, match="no labelled patient is left for training"):
        run(polyps, tmp_path / "data", skip_bad=True)


@pytest.mark.parametrize("jobs", [1, 3])
def test_an_image_for_which_the_memory_does_not_suffice_is_named_and_can_be_left_out(
    polyps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    whole = module.measure

    def measure(case: Any, *rest: Any) -> Record:
        if case.identifier == "n04":
            raise MemoryError
        return whole(case, *rest)

    monkeypatch.setattr(module, "measure", measure)
    words = r"^images/n04\.png: not enough memory to read it \(or use --skip-bad\)\.$"
    with pytest.raises(UserError, match=words):
        run(polyps, tmp_path / "data", jobs=jobs)
    lines = said(polyps, tmp_path / "data", jobs=jobs, skip_bad=True)
    assert "resuming: 11 of 12" in lines
    assert "cannot be used: images/n04.png: not enough memory to read it." in lines
    assert len(PreparedData(tmp_path / "data").manifest.cases) == 11
    monkeypatch.setattr(module, "measure", whole)
    run(polyps, tmp_path / "data", skip_bad=True, overwrite=True)
    assert len(PreparedData(tmp_path / "data").manifest.cases) == 12


def test_one_unreadable_file_is_its_own_sentence(polyps: Path, tmp_path: Path) -> None:
    (polyps / "images" / "n04.png").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"n04\.png cannot be read .* leave it out \(or use --skip-bad\)"
    ):
        run(polyps, tmp_path / "data")


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize(
    ("number", "ends"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_keeps_whole_cases_and_the_same_command_goes_on(
    polyps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str], number: int,
    ends: type[BaseException], jobs: int,
) -> None:  # fmt: skip
    expected = run(polyps, tmp_path / "straight")
    reads.clear()
    handler = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        interrupt(patch, 3, number)
        with pytest.raises(ends):
            run(polyps, tmp_path / "data", jobs=jobs)
    assert signal.getsignal(signal.SIGTERM) is handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not (tmp_path / "data").exists()
    found = read_records(tmp_path / ".data.partial")
    assert found is not None
    whole = set(found[1])
    assert whole == set(reads)
    if jobs == 1:
        assert len(whole) == 3
    reads.clear()
    words = said(polyps, tmp_path / "data", jobs=jobs)
    assert f"resuming: {len(whole)} of {CASES} cases are already prepared" in words
    assert len(reads) == CASES - len(whole)
    assert not whole & set(reads)
    assert PreparedData(tmp_path / "data").manifest == expected
    assert tree(tmp_path / "data") == tree(tmp_path / "straight")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "polyps", "straight"]


def test_a_killed_preparation_goes_on(polyps: Path, tmp_path: Path) -> None:
    """kill -9 while a case's arrays and a record are incomplete."""
    program = textwrap.dedent(
        f"""
        import os, signal
        from semiseg.preparation.store import DataWriter
        from semiseg.workflows.prepare import prepare
        save, count = DataWriter._save, [0]
        def killed(self, kind, identifier, array):
            count[0] += 1
            if count[0] == 8:
                (self.partial / kind / f".partial-1-{{identifier}}.npy").write_bytes(b"half")
                with (self.partial / "records.jsonl").open("a") as file:
                    file.write('{{"identifier": "n0')
                os.kill(os.getpid(), signal.SIGKILL)
            save(self, kind, identifier, array)
        DataWriter._save = killed
        prepare({str(polyps)!r}, {str(tmp_path / "data")!r}, jobs=1)
        """
    )
    died = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL
    assert "resuming: 3 of 12" in said(polyps, tmp_path / "data")
    run(polyps, tmp_path / "straight")
    assert tree(tmp_path / "data") == tree(tmp_path / "straight")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "polyps", "straight"]


def test_an_interrupted_case_that_changed_is_read_again(
    polyps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            run(polyps, tmp_path / "data", jobs=1)
    photograph(polyps, 77)
    shutil.copy(polyps / "images" / "n77.png", polyps / "images" / "n01.png")
    (polyps / "masks" / "n02.png").unlink()
    (tmp_path / ".data.partial" / "images" / "n00.npy").write_bytes(b"damaged")
    reads.clear()
    assert "resuming: 1 of 13" in said(polyps, tmp_path / "data", jobs=1)
    assert reads[:3] == ["n00", "n01", "n02"]
    run(polyps, tmp_path / "straight")
    assert tree(tmp_path / "data") == tree(tmp_path / "straight")


def test_an_abandoned_preparation_of_other_options_is_replaced(
    polyps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            run(polyps, tmp_path / "data", jobs=1)
    reads.clear()
    words = said(polyps, tmp_path / "data", max_side=16)
    assert "by an interrupted preparation with other options (max_side) and is replaced" in words
    assert len(reads) == CASES


def test_a_full_disk_keeps_whole_cases(polyps: Path, tmp_path: Path, reads: list[str]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for number in (6, 7):  # larger than the limit of a file
        large = np.random.default_rng(number).integers(0, 256, (130, 130, 3)).astype(np.uint8)
        Image.fromarray(large).save(polyps / "images" / f"n{number:02d}.png")
        (polyps / "masks" / f"n{number:02d}.{'jpg' if number == 6 else 'png'}").unlink()
    console = Listening()
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with pytest.raises(UserError, match=r"data cannot be written \(.*\): free space"):
            prepare(polyps, tmp_path / "data", console=console, jobs=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "6 complete cases kept in" in console.said[-1]
    partial = tmp_path / ".data.partial"
    assert {p.stem for p in (partial / "images").iterdir()} == {f"n{n:02d}" for n in range(6)}
    reads.clear()
    assert "resuming: 6 of 12" in said(polyps, tmp_path / "data", jobs=1)
    assert reads == [f"n{n:02d}" for n in range(6, 12)]
    run(polyps, tmp_path / "straight")
    assert tree(tmp_path / "data") == tree(tmp_path / "straight")


def test_two_at_a_time_do_not_spoil_each_other(polyps: Path, tmp_path: Path) -> None:
    with DataWriter(tmp_path / "data", {}):
        with pytest.raises(UserError, match="being prepared by another process"):
            run(polyps, tmp_path / "data")
        assert (tmp_path / ".data.partial").is_dir()
    assert not (tmp_path / ".data.partial").exists()


def test_a_refusal_leaves_what_an_interrupted_preparation_had_left(
    polyps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            run(polyps, tmp_path / "data", jobs=1)
    mask = polyps / "masks" / "n07.png"
    mask.write_bytes(
        mask.read_bytes()[:-30]
    )  # its header is intact: it is refused when its pixels are read
    with pytest.raises(UserError, match="n07"):
        run(polyps, tmp_path / "data", jobs=1)
    photograph(polyps, 7)
    assert "resuming: 11 of 12" in said(polyps, tmp_path / "data")


def test_a_second_run_does_nothing_and_says_so(
    polyps: Path, tmp_path: Path, reads: list[str]
) -> None:
    first = run(polyps, tmp_path / "data")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "data").rglob("*")}
    reads.clear()
    console = Listening()
    for dry_run in (False, True):
        assert prepare(polyps, tmp_path / "data", console=console, dry_run=dry_run) == first
    assert "12 images of this source, unchanged: nothing to do" in console.said[-1]
    for path in (polyps / "images").iterdir():  # as after copying
        os.utime(path, ns=(1, 1))
    assert run(polyps, tmp_path / "data") == first
    shutil.copytree(polyps, tmp_path / "copy")
    assert run(tmp_path / "copy", tmp_path / "data") == first
    assert reads == []
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "data").rglob("*")} == before


def test_a_changed_source_is_noticed_and_only_what_changed_is_read(
    polyps: Path, tmp_path: Path, reads: list[str]
) -> None:
    out = tmp_path / "data"
    run(polyps, out)
    photograph(polyps, 20)
    same_size = polyps / "images" / "n03.png"
    pixels = np.asarray(Image.open(same_size)).copy()
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(same_size)
    (polyps / "masks" / "n10.png").write_bytes((polyps / "masks" / "n01.png").read_bytes())
    (polyps / "images" / "n11.png").unlink()
    before = tree(out)
    with pytest.raises(UserError) as raised:
        run(polyps, out)
    assert (
        "since then 1 image new (such as n20), 2 images changed (such as n03) and 1 image missing "
        "(such as n11): use --overwrite to prepare it again (which reads only what has changed)"
        in str(raised.value)
    )
    assert tree(out) == before
    reads.clear()
    assert "reusing: 9 of 12 cases have not changed" in said(polyps, out, overwrite=True)
    assert sorted(reads) == ["n03", "n10", "n20"]
    run(polyps, tmp_path / "straight")
    assert tree(out) == tree(tmp_path / "straight")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "polyps", "straight"]


def test_what_the_output_has_lost_is_noticed(
    polyps: Path, tmp_path: Path, reads: list[str]
) -> None:
    out = tmp_path / "data"
    run(polyps, out)
    (out / "images" / "n05.npy").unlink()
    with pytest.raises(UserError, match=r"1 image damaged in the output \(such as n05\)"):
        run(polyps, out)
    reads.clear()
    run(polyps, out, overwrite=True)
    assert reads == ["n05"]


def test_another_split_or_other_patients_need_overwrite_and_read_nothing(
    polyps: Path, tmp_path: Path, reads: list[str]
) -> None:
    run(polyps, tmp_path / "data")
    reads.clear()
    for options, word in (
        ({"seed": 5}, "another split"),
        ({"patient_pattern": "n."}, "other patients"),
    ):
        with pytest.raises(UserError, match=word):
            run(polyps, tmp_path / "data", **options)
        new = run(polyps, tmp_path / "data", overwrite=True, **options)
        assert new == run(polyps, tmp_path / "data", **options)
    assert reads == []


def test_whoever_insists_has_everything_read(
    polyps: Path, tmp_path: Path, reads: list[str]
) -> None:
    run(polyps, tmp_path / "data")
    reads.clear()
    run(polyps, tmp_path / "data", overwrite=True)
    assert len(reads) == CASES


def test_sets_prepared_without_records_are_not_taken_for_the_same(
    polyps: Path, tmp_path: Path
) -> None:
    run(polyps, tmp_path / "data")
    (tmp_path / "data" / "records.jsonl").unlink()
    with pytest.raises(UserError, match="has no records of its source files"):
        run(polyps, tmp_path / "data")
    other = tmp_path / "other"
    for number in range(50, 56):
        photograph(other, number)
    run(polyps, tmp_path / "data", overwrite=True)
    with pytest.raises(UserError, match="made from other images"):
        run(other, tmp_path / "data")


def test_a_picture_in_colour_makes_all_of_them_so(tmp_path: Path) -> None:
    """Grey cases of an earlier preparation are not reused."""
    source, noise = tmp_path / "source", np.random.default_rng(0)
    for folder in ("images", "masks"):
        (source / folder).mkdir(parents=True)

    def add(name: str, shape: tuple[int, ...]) -> None:
        values = noise.integers(0, 256, shape).astype(np.uint8)
        Image.fromarray(values).save(source / "images" / f"{name}.png")
        mask = np.uint8(255) * (noise.random(shape[:2]) > 0.5)
        Image.fromarray(mask).save(source / "masks" / f"{name}.png")

    for number in range(4):
        add(f"n{number}", (16, 20))
    assert run(source, tmp_path / "data").task.channels == 1
    add("x", (16, 20, 3))
    assert run(source, tmp_path / "data", overwrite=True).task.channels == 3
    assert PreparedData(tmp_path / "data").image("n0").shape == (1, 3, 16, 20)

"""``pack`` and ``unpack`` on the command line, and a run on the unpacked data."""

from pathlib import Path

from commandline import call, refused, small, tree, well

from semiseg.data.check import check_data


def test_a_set_travels(run: Path, data: Path, tmp_path: Path) -> None:
    before = tree(data)
    file = tmp_path / "hearts.semiseg"
    said = well(call("pack", data, "-o", file))
    assert "packed into" in said.out
    assert "with 16 bits" in said.out
    refused(call("pack", data, "-o", file), file, "--overwrite")
    well(call("unpack", file, "-o", tmp_path / "back"))
    refused(call("unpack", file, "-o", tmp_path / "back"), "back exists", "--overwrite")
    assert check_data(tmp_path / "back").task == check_data(data).task
    scores = [well(call("evaluate", run, "--data", d, "-o", tmp_path / d.name)) for d in
              (data, tmp_path / "back")]  # fmt: skip
    tables = [
        [line for line in said.out.splitlines() if str(tmp_path) not in line] for said in scores
    ]
    assert tables[0] == tables[1]  # 16 bits store integer images exactly
    words = ("train", tmp_path / "back", "--method", "supervised", "-o", tmp_path / "new")
    well(call(*words, *small(iterations="1")))
    file.write_bytes(file.read_bytes()[:-100])
    refused(call("unpack", file, "-o", tmp_path / "other"), file, "truncated")
    assert tree(data) == before


def test_one_part_with_8_bits(data: Path, tmp_path: Path) -> None:
    for bits in ("8", "16"):
        well(call("pack", data, "-o", tmp_path / bits, "--bits", bits, "--part", "train"))
    assert (tmp_path / "8").stat().st_size < (tmp_path / "16").stat().st_size
    well(call("unpack", tmp_path / "8", "-o", tmp_path / "back"))
    split = check_data(tmp_path / "back").manifest.split
    assert split.train == check_data(data).manifest.split.train
    assert split.test == ()


def test_preparing_again_does_nothing(phantom: Path, data: Path) -> None:
    before = tree(data)
    assert "unchanged: nothing to do" in well(call("prepare", phantom, "-o", data)).out
    assert tree(data) == before

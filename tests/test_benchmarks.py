"""The benchmarks of training steps run, so that the numbers in the docs can be reproduced."""

from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_steps_of_patches_are_timed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import common
    import patch_methods

    def once(calls: Any, repeats: int, device: str, warmup: int) -> Any:
        return common.in_turn(calls, repeats, device, warmup=0)

    monkeypatch.setattr(patch_methods, "in_turn", once)
    patch_methods.cross_level(80, "cpu", "32-true", repeats=1)
    patch_methods.plgcl(64, "cpu", "32-true", repeats=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["80"] * 3 + ["64"] * 3
    assert "at most" in lines[1]
    assert lines[5].startswith("64: share of the contrast")


def test_other_steps_have_a_configuration(tmp_path: Path) -> None:
    import iteration
    import loading

    for name in ("cross-teaching", "mcsc"):
        assert iteration.configuration(name, 64, "32-true").data.size == 64
    data = loading.generated(tmp_path / "data", 2)
    assert loading.training_step(data.manifest, 32, 2, repeats=1).median > 0

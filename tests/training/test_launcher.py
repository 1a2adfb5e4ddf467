"""A launcher's variables count together or not at all."""

import os
import subprocess
import sys

import pytest

from semiseg.errors import UserError
from semiseg.training.launcher import NAMES, Launch, launched, without_ranks

GOOD = {
    "RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "host", "MASTER_PORT": "29500",
}  # fmt: skip


def given(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_all_of_them_count(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, GOOD)
    assert launched() == Launch(rank=1, processes=4, local_processes=2)


@pytest.mark.parametrize("name", NAMES)
def test_some_of_them_do_not_count(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    given(monkeypatch, {key: value for key, value in GOOD.items() if key != name})
    assert launched() == Launch()
    given(monkeypatch, {name: "abc"})
    assert launched() == Launch()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"RANK": "abc"}, "RANK is 'abc', not a number"),
        ({"WORLD_SIZE": "-2"}, "WORLD_SIZE is '-2'"),
        ({"RANK": "4"}, "RANK=4, WORLD_SIZE=4"),
        ({"WORLD_SIZE": "3"}, "contradict each other"),
        ({"LOCAL_WORLD_SIZE": "0"}, "contradict each other"),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT=99999 is not a port"),
    ],
)
def test_wrong_values_are_named(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str], message: str
) -> None:
    given(monkeypatch, GOOD | wrong)
    with pytest.raises(UserError, match=message):
        launched()


def test_hidden_ranks_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "abc")
    with without_ranks():
        assert "RANK" not in os.environ
    assert os.environ["RANK"] == "abc"


@pytest.mark.parametrize(
    "left",
    [
        {"RANK": "abc"},
        {"RANK": "3", "LOCAL_RANK": "3"},
        # a batch job of SLURM with several tasks, not started by srun
        {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "job", "SLURM_PROCID": "2", "SLURM_JOB_ID": "7",
         "SLURM_LOCALID": "2", "SLURM_NODELIST": "n1"},
    ],
)  # fmt: skip
def test_variables_of_others_do_not_matter_to_a_single_process(left: dict[str, str]) -> None:
    program = (
        "from semiseg.training.fabric import make_fabric\n"
        "fabric = make_fabric('cpu', '32-true'); fabric.launch()\n"
        "print(fabric.world_size, fabric.global_rank, fabric.is_global_zero)"
    )
    plain = {key: value for key, value in os.environ.items() if key not in NAMES}
    done = subprocess.run(
        [sys.executable, "-c", program], env=plain | left, capture_output=True, text=True
    )
    assert done.stdout.split() == ["1", "0", "True"], done.stderr

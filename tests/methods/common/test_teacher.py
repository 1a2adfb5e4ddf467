"""The average of a student, its decay at the start, and snapshots."""

import pytest
import torch
from torch import nn

from semiseg.methods.base import Step
from semiseg.methods.common.snapshot import refresh_snapshot
from semiseg.methods.common.teacher import ema_decay_at, frozen_copy, update_ema


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3))
    for p in net.parameters():
        nn.init.normal_(p)
    net(torch.randn(4, 1, 5, 5))
    return net


def test_the_average_holds_weights_and_buffers_and_copies_counters() -> None:
    student, teacher = network(0), network(1)
    student(torch.randn(4, 1, 5, 5))
    before = {name: x.clone() for name, x in teacher.state_dict().items()}
    update_ema(teacher, student, 0.75)
    names = set(before)
    assert {"1.running_mean", "1.num_batches_tracked", "0.weight"} <= names
    for name, value in teacher.state_dict().items():
        new = student.state_dict()[name]
        if name == "1.num_batches_tracked":
            assert value == new == before[name] + 1
        else:
            torch.testing.assert_close(value, 0.75 * before[name] + 0.25 * new)
            assert not torch.equal(value, before[name])


def test_the_decay_grows_to_its_limit() -> None:
    assert [ema_decay_at(t, 0.99) for t in (0, 1, 3)] == [0, 0.5, 0.75]
    assert ema_decay_at(98, 0.99) == pytest.approx(1 - 1 / 99)
    assert ema_decay_at(99, 0.99) == ema_decay_at(10**6, 0.99) == 0.99


def test_with_the_warm_up_a_teacher_is_the_mean_of_its_students() -> None:
    teacher = network(9)
    students = [network(seed) for seed in range(4)]
    for index, student in enumerate(students):
        update_ema(teacher, student, ema_decay_at(index, 0.99))
    mean = torch.stack([s[0].weight.detach() for s in students]).mean(0)
    torch.testing.assert_close(teacher[0].weight.detach(), mean)


def test_no_gradient_reaches_a_copy() -> None:
    student = network(0)
    teacher = frozen_copy(student)
    loss = (student(torch.ones(2, 1, 2, 2)) - teacher(torch.zeros(2, 1, 2, 2))).square().sum()
    loss.backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for p in student.parameters())
    with torch.no_grad():
        student[0].weight.add_(1)
    assert not torch.equal(student[0].weight, teacher[0].weight)


def test_a_snapshot_is_taken_at_the_given_iterations_alone() -> None:
    student = network(0)
    snapshot = frozen_copy(student)
    taken = []
    for index in range(6):
        with torch.no_grad():
            student[0].bias.fill_(index)
            student[1].running_mean.fill_(index)
        refresh_snapshot(snapshot, student, Step(index, 9), at={2, 4})
        assert snapshot[0].bias[0] == snapshot[1].running_mean[0] or index < 2
        taken.append(snapshot[0].bias[0].item())
    assert taken[1:] == [taken[0], 2, 2, 4, 4]
    assert not any(p.requires_grad for p in snapshot.parameters())


def test_a_resumed_snapshot_is_the_same() -> None:
    class Owner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.student = network(0)
            self.guide = frozen_copy(self.student)

    one, other = Owner(), Owner()
    with torch.no_grad():
        one.student[0].bias.fill_(3)
    refresh_snapshot(one.guide, one.student, Step(1, 9), at={1})
    with torch.no_grad():
        one.student[0].bias.fill_(7)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.guide[0].bias, torch.full((3,), 3.0))
    assert torch.equal(other.student[0].bias, torch.full((3,), 7.0))

"""Which errors say that memory could not be allocated."""

import errno

import pytest

from semiseg.errors import RunFailure, UserError, is_out_of_memory, memory_for


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("could not create a memory object"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("unable to mmap 9 bytes from file <x>: Cannot allocate memory (12)"),
    ],
    ids=str,
)
def test_a_lack_of_memory_is_recognised(error: Exception) -> None:
    assert is_out_of_memory(error)
    with pytest.raises(RunFailure, match=r"case1: not enough memory .* to score it: end other"):
        raise_within(error)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"), UserError("out of memory"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("out of memory"),
    ],
    ids=str,
)  # fmt: skip
def test_other_errors_are_not(error: Exception) -> None:
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)) as raised:
        raise_within(error)
    assert raised.value is error


def raise_within(error: Exception) -> None:
    with memory_for("case1", "score it"):
        raise error

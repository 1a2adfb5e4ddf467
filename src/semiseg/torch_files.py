"""Reading of files that ``torch.save`` wrote, with their checksums."""

import zipfile
from pathlib import Path
from typing import Any

from semiseg.errors import is_out_of_memory
from semiseg.files import check_file


class DamagedError(Exception):
    """A file that is truncated or damaged, or not one of PyTorch."""


def read_torch(path: Path, legacy: bool = False) -> Any:
    """Read tensors and plain values from a file of ``torch.save``, on the CPU.

    Args:
        path: the file.
        legacy: also read files in the form before PyTorch 1.6, which have no checksums.

    Raises:
        UserError: if it is missing, a folder or a pipe.
        OSError: if it cannot be opened.
        MemoryError, RuntimeError: if it is whole and the memory does not suffice (`is_out_of_memory`).
        DamagedError: if it is truncated or damaged.
    """
    import torch

    check_file(path)
    with path.open("rb") as opened:
        try:
            if not (legacy and not zipfile.is_zipfile(opened)):
                with zipfile.ZipFile(opened) as file:  # torch does not compare the checksums
                    if file.testzip() is not None:
                        raise DamagedError
            opened.seek(0)
            return torch.load(opened, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many types for a truncated file
            if is_out_of_memory(error):
                raise
            raise DamagedError(str(path)) from None

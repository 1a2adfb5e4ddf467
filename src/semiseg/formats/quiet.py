"""Capturing or silencing the messages of libraries that read files.

Several threads read at the same time, so no global setting may be changed and restored.
"""

import logging
import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_HERE = threading.local()


class _Listener(logging.Filter):
    """Moves log records of a thread that listens to its list of messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        messages = getattr(_HERE, "messages", None)
        if messages is None:
            return True
        messages.append(record.getMessage())
        return False


_LISTENER = _Listener()
_PRINTING = threading.RLock()
_LIBTIFF = re.compile(rb"[\w .-]*: [^\r]*\.\s*$")  # "LZWDecode: Not enough data at scanline 0."


@contextmanager
def hearing_tifffile() -> Iterator[list[str]]:
    """Yield the list of messages that tifffile logs in this thread."""
    logging.getLogger("tifffile").addFilter(_LISTENER)  # adding it again has no effect
    before = getattr(_HERE, "messages", None)
    messages: list[str] = []
    _HERE.messages = messages
    try:
        yield messages
    finally:
        _HERE.messages = before


@contextmanager
def hearing_libtiff() -> Iterator[list[str]]:
    """Yield a list that holds, after the block, the errors that libtiff has printed.

    libtiff prints to the process's standard error, so one thread at a time reads such files. What
    others print meanwhile is printed afterwards.
    """
    messages: list[str] = []
    with _PRINTING, tempfile.TemporaryFile() as heard:
        sys.stderr.flush()
        try:
            kept = os.dup(2)
        except OSError:  # the process has no standard error
            yield messages
            return
        try:
            os.dup2(heard.fileno(), 2)
            yield messages
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            heard.seek(0)
            for line in heard.read().splitlines(keepends=True):
                if _LIBTIFF.match(line):
                    messages.append(line.decode("utf-8", "replace").strip())
                else:
                    os.write(2, line)


def quiet_pillow() -> None:
    """Silence Pillow's warnings; we raise errors for these files."""
    from PIL import Image

    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", module=r"PIL\.")

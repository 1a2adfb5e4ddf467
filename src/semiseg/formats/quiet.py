"""Capturing or silencing the messages of libraries that read files.

Several threads read at the same time, so no global setting may be changed and restored.
"""

import logging
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


def quiet_pillow() -> None:
    """Silence Pillow's warnings; we raise errors for these files."""
    from PIL import Image

    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", module=r"PIL\.")

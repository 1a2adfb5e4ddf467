"""What libraries say while they read files: heard where it matters, and never printed.

Several threads read at a time, so nothing that is common to them is switched off and on again.
"""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_HERE = threading.local()


class _Listener(logging.Filter):
    """Takes what the thread's own reading says out of the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        said = getattr(_HERE, "said", None)
        if said is None:
            return True
        said.append(record.getMessage())
        return False


_LISTENER = _Listener()


@contextmanager
def hearing_tifffile() -> Iterator[list[str]]:
    """What tifffile logs meanwhile in this thread."""
    logging.getLogger("tifffile").addFilter(_LISTENER)  # a second time does nothing
    before = getattr(_HERE, "said", None)
    said: list[str] = []
    _HERE.said = said
    try:
        yield said
    finally:
        _HERE.said = before


def quiet_pillow() -> None:
    """Silence Pillow's warnings: what it would warn of is refused."""
    from PIL import Image

    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", module=r"PIL\.")

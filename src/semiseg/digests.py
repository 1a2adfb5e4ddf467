"""Digests (SHA-256) of files and texts, in hexadecimal, and the lengths in which they are stored."""

import hashlib
from pathlib import Path

LENGTH, SHORT = 64, 16  # characters: of a whole digest, and of one that only tells files apart


def file_digest(path: Path | str, length: int = LENGTH) -> str:
    """The first ``length`` characters of the digest of a file; raises OSError if it cannot be read."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:length]


def text_digest(text: str, length: int = LENGTH) -> str:
    """The first ``length`` characters of the digest of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]

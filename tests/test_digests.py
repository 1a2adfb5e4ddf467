"""Digests of files and texts."""

import hashlib
from pathlib import Path

import pytest

from semiseg.digests import LENGTH, SHORT, file_digest, text_digest


def test_digests_of_files_and_texts(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("Müller", encoding="utf-8")
    whole = hashlib.sha256("Müller".encode()).hexdigest()
    assert file_digest(path) == text_digest("Müller") == whole
    assert len(whole) == LENGTH
    assert file_digest(path, SHORT) == whole[:16]
    with pytest.raises(FileNotFoundError):
        file_digest(tmp_path / "missing")

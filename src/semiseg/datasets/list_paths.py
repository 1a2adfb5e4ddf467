"""The paths in a list of images, which may be written on another system."""

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from semiseg.datasets.roles import composed
from semiseg.errors import UserError
from semiseg.files import inside, is_inside
from semiseg.formats import is_picture, is_volume, suffixes_of


class ListPaths:
    """Finds the files that a list names, below the folder of the list."""

    def __init__(self, path: Path) -> None:
        """Args: path: the list."""
        self.path, self.base = path, path.parent
        self._held: dict[Path, list[str]] = {}

    def file(self, name: str, where: str, otherwise: str = "") -> Path:
        """A file of the list, as a path below the list's folder.

        Args:
            name: the path as written.
            where: the row in messages.
            otherwise: advice for a file that is not an image.

        Raises:
            UserError: if it is outside the folder, or not an image.
        """
        if PureWindowsPath(name).drive and not _exists(self.base / name):
            raise self._absolute(name, where)
        name = self.local(name)
        file = inside(self.base, name, self.path)
        if not file.is_relative_to(self.base):  # absolute, and leads into the folder through a link
            file = self.base / file.resolve().relative_to(self.base.resolve())
        if not (is_volume(file) or is_picture(file)):
            raise UserError(
                f"{where} names {name}, which is not an image: {otherwise}use files that end in "
                f"{', '.join(suffixes_of('volume', 'picture'))}."
            )
        return file if file.exists() else self._otherwise_written(file)

    def local(self, name: str) -> str:
        """``name`` with the separators of this system, if the list was written on Windows."""
        written = "\\" in name and not _exists(self.base / name)
        return name.replace("\\", "/") if written else name

    def missing(self, file: Path, where: str) -> UserError:
        """The error of a row with a file that does not exist."""
        name = file.relative_to(self.base).as_posix()
        return UserError(f"{where} names {name}, which is missing: copy it or remove the line.")

    def _otherwise_written(self, file: Path) -> Path:
        """The only file whose name differs in the Unicode form alone, or else also in capitals.

        These are one name on other systems. Without such a file it is ``file``.
        """
        found = self.base
        for part in file.relative_to(self.base).parts:
            if part == ".." or (found / part).exists():
                found /= part
                continue
            for form in (composed, _folded):
                same = [name for name in self._names_in(found) if form(name) == form(part)]
                if same:
                    break
            if len(same) != 1:
                return file
            found /= same[0]
        return found if is_inside(self.base, found) else file

    def _names_in(self, folder: Path) -> list[str]:
        if folder not in self._held:
            try:
                self._held[folder] = sorted(os.listdir(folder))
            except OSError:
                self._held[folder] = []
        return self._held[folder]

    def _absolute(self, name: str, where: str) -> UserError:
        """The error for an absolute path of Windows, with the same file below the folder if it is there."""
        parts = PureWindowsPath(name).parts[1:]
        tails = (PurePosixPath(*parts[n:]) for n in range(len(parts)))
        found = next(
            (
                tail for tail in tails
                if is_inside(self.base, self.base / tail) and (self.base / tail).is_file()
            ),
            None,
        )  # fmt: skip
        example = f" ({found})" if found else ""
        return UserError(
            f"{where} names {name}, an absolute path of another computer: write paths relative to the "
            f"folder of the list{example}."
        )


def _folded(name: str) -> str:
    return composed(name).casefold()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a very long name, NUL
        return False

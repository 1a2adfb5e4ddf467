"""The image files below a folder, and what is left out."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from semiseg.datasets.content import content_of
from semiseg.datasets.roles import IMAGES, LABELS, names_label, place_file, without_words
from semiseg.datasets.source_files import special_files
from semiseg.files import cannot_enter, walk_files
from semiseg.formats import DICOM, is_image, stem_of
from semiseg.text import joined, plural


def image_files(
    folder: Path, note: Callable[[str], None] = lambda _: None, out: Path | None = None
) -> list[Path]:
    """The image files below ``folder``, sorted, without masks and hidden files.

    A file is a mask if a folder's name below ``folder`` says so (``labels``), if its name is that of an
    image with a word for masks (``x_mask.png`` and ``x.png``), or if its name begins with that of an image
    and it looks like a mask (``x_lesion.png``).

    Args:
        folder: the folder.
        note: called with a sentence about the files that are left out.
        out: a folder below ``folder`` that is not searched: that of the masks.

    Raises:
        UserError: for a folder that cannot be read, or a link that leads out of ``folder``.
    """
    avoided = None
    if out is not None and folder.resolve() in out.resolve().parents:
        avoided = out.resolve()
    found: list[Path] = []
    masks, others = 0, Counter[str]()
    for path in walk_files(folder, cannot_enter):
        if avoided is not None and path.resolve().is_relative_to(avoided):
            continue
        if not is_image(path):
            if not DICOM.recognises(path):
                others[path.suffix or "without suffix"] += 1
        elif place_file(folder, path).role == "label":
            masks += 1
        else:
            found.append(path)
    images = {_key(path) for path in found if not names_label(stem_of(path))}
    kept = [path for path in found if not (_is_mask_of(path, images) or _is_derived(path, images))]
    masks += len(found) - len(kept)
    if pipes := special_files(folder):
        note(
            f"not read in {folder}: {plural(len(pipes), 'file')} that are pipes, sockets or devices (such "
            f"as {pipes[0].name})."
        )
    if kept and masks:
        note(f"not predicted in {folder}: {plural(masks, 'mask')} by their names.")
    if kept and others:
        kinds = joined([f"{count} {kind}" for kind, count in sorted(others.items())], "and")
        note(
            f"not read in {folder}: {plural(others.total(), 'file')} that are not images ({kinds})."
        )
    return kept


def _is_mask_of(path: Path, images: set[str]) -> bool:
    """Whether a name with a word for masks belongs to one of the ``images``, by their keys."""
    if not names_label(stem_of(path)):
        return False
    key = _key(path)
    return any(key == image or key.startswith(f"{image}_") for image in images)


def _is_derived(path: Path, images: set[str]) -> bool:
    """Whether a name continues that of another image, and the file holds few values as masks do."""
    key = _key(path)
    begins = (key[:end] for end, sign in enumerate(key) if sign == "_" and end)
    return any(start in images for start in begins) and content_of([path]).masks


def _key(path: Path) -> str:
    """The name without the words for images and masks."""
    return without_words(stem_of(path), LABELS | IMAGES)

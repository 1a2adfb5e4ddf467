"""Names of classes from the masks or the folders of a source."""

import dataclasses
from pathlib import Path

from semiseg.datasets.base import Options, with_background
from semiseg.datasets.pairs import Found, Pair
from semiseg.errors import UserError
from semiseg.text import joined


def named_masks(
    found: Found, options: Options, folder: Path
) -> tuple[Found, tuple[str, ...] | None]:
    """The pairs with the class of each mask, and the class names; None if no mask names its class.

    Args:
        found: pairs.
        options: with ``class_by_folder``, the folder of an image is the class of its mask.
        folder: the source.

    Raises:
        UserError: for classes that do not fit the names, or masks that already name their class.
    """
    if options.class_by_folder:
        pairs = tuple(_by_folder(pair) for pair in found.pairs)
        found = dataclasses.replace(found, pairs=pairs)
    names = sorted({name for pair in found.pairs for name, _ in pair.classes if name})
    if not names:
        return found, None
    if options.naming.codes is not None or options.naming.colours is not None:
        single = len(names) == 1 and all(len(pair.classes) < 2 for pair in found.pairs)
        if single and not options.class_by_folder:  # the name is a word for masks: the values count
            pairs = tuple(dataclasses.replace(pair, classes=()) for pair in found.pairs)
            return dataclasses.replace(found, pairs=pairs), None
        raise UserError(
            f"{folder} has one mask per class ({', '.join(names)}): give --classes only names, in the "
            "order in which later ones cover earlier ones."
        )
    if not options.classes:
        return found, with_background(names)
    chosen = with_background(options.classes)
    known = {name.lower() for name in names}
    unknown = [name for name in chosen[1:] if name.lower() not in known]
    if unknown:
        raise UserError(
            f"--classes names '{unknown[0]}', but the masks of {folder} are of {', '.join(names)}: use "
            "these names."
        )
    return found, chosen


def _by_folder(pair: Pair) -> Pair:
    if pair.label is None:
        return pair
    if not pair.folder:
        raise UserError(
            f"--class-by-folder: {pair.image} is in no folder that names a class: move the images into "
            "folders such as benign and malignant."
        )
    named = [name for name, _ in pair.classes if name]
    if named:
        raise UserError(
            f"--class-by-folder: the masks of {pair.image} already name classes ({joined(named[:3])}): "
            "leave the option out."
        )
    return dataclasses.replace(pair, classes=tuple((pair.folder, mask) for mask in pair.masks))

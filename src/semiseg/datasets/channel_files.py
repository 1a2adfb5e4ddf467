"""Files that are channels of an image, and would be taken for images."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from semiseg.datasets.matching import Match
from semiseg.datasets.roles import CHANNEL, LABEL_ENDING, PlacedFile
from semiseg.errors import UserError

CHANNEL_NAME = re.compile(
    r"[_\-. ](?:(?P<named>(?:ch|chan|channel)[_\-]?\d{1,2})|[cw]\d)$", re.IGNORECASE
)


def check_channels(
    images: Sequence[PlacedFile],
    matches: Sequence[Match],
    names: Mapping[Path, str],
    orphans: Iterable[str],
) -> None:
    """Check that images are not the channels of an image.

    Args:
        images: the images.
        matches: labels with their images.
        names: the name of every file for pairing.
        orphans: names of labels without an image.

    Raises:
        UserError: for ``a_0001`` beside a labelled ``a_0000``; or if at least half of the images are such
            as ``a_ch00`` and ``a_ch01`` (``a_c1`` and ``a_c2`` if there is a label ``a``), and at most
            one of those of an image has a label.
    """
    labelled = {match.image.path for match in matches}
    _check_numbers(images, labelled, {(m.label.place, names[m.label.path]) for m in matches}, names)
    whole = {LABEL_ENDING.sub("", name) for name in orphans}
    groups: dict[tuple[tuple[str, ...], str], list[PlacedFile]] = {}
    for image in images:
        found = CHANNEL_NAME.search(image.stem)
        if found and (found.group("named") or image.stem[: found.start()] in whole):
            groups.setdefault((image.place, image.stem[: found.start()]), []).append(image)
    several = [
        own
        for own in groups.values()
        if len(own) > 1 and sum(image.path in labelled for image in own) < 2
    ]
    if several and 2 * sum(map(len, several)) >= len(images):
        first, second = several[0][:2]
        raise UserError(
            f"{first.path} and {second.path.name} look like channels of one image: merge the channels into "
            "one file per image, keep one channel, or list the files in a CSV (volumes: image, image_2, ...)."
        )


def _check_numbers(
    images: Sequence[PlacedFile],
    labelled: set[Path],
    own: set[tuple[tuple[str, ...], str]],
    names: Mapping[Path, str],
) -> None:
    for image in images:
        channel = CHANNEL.search(names[image.path])
        if image.path in labelled or channel is None or channel.group(1) == "0000":
            continue
        if (image.place, names[image.path][: channel.start()]) in own:
            raise UserError(
                f"{image.path} is an additional channel of an image: name the channels in "
                "nnU-Net's dataset.json, or list the files in semiseg.csv."
            )

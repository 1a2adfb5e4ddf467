"""Reading ``dataset.json`` of the Medical Segmentation Decathlon and nnU-Net."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semiseg.errors import UserError
from semiseg.json_text import TwiceError, parse_json

NAME = "dataset.json"
READ = ("labels", "channel_names", "modality")
"""The entries that are read. Files of other tools have many others."""


def read_description(folder: Path) -> Mapping[str, Any]:
    """The entries of dataset.json in ``folder``.

    Raises:
        UserError: if it is not a JSON object, or the name of an entry that is read is misspelt.
    """
    path = folder / NAME
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except TwiceError as error:
        raise UserError(f"{path}: {error}: keep one of them.") from None
    except (OSError, ValueError):
        raise UserError(f"{path} is not readable JSON: repair it or remove it.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} has no named entries such as labels: repair it or remove it.")
    for name, value in content.items():
        near = difflib.get_close_matches(name.lower(), READ, n=1, cutoff=0.8)
        if near and near[0] not in content and isinstance(value, dict):
            raise UserError(
                f"{path}: '{name}' is not read, and looks like '{near[0]}': correct the name."
            )
    return content


def channel_names(folder: Path, described: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the input channels in order, from ``{"0": "CT"}`` or a list; () if not given.

    Raises:
        UserError: if they are not numbered 0, 1, 2, ...
    """
    named = described.get("channel_names", described.get("modality"))
    if named is None:
        return ()
    wrong = UserError(
        f"{folder / NAME}: 'channel_names' (or 'modality') must name the channels 0, 1, 2, ... "
        'such as {"0": "T1", "1": "T2"}: correct it.'
    )
    if isinstance(named, list):
        named = dict(enumerate(named))
    if not isinstance(named, dict):
        raise wrong
    try:
        pairs = sorted((int(number), str(name)) for number, name in named.items())
    except (TypeError, ValueError):
        raise wrong from None
    if not pairs or [number for number, _ in pairs] != list(range(len(pairs))):
        raise wrong
    return tuple(name for _, name in pairs)


def class_names(folder: Path, described: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Class names in the order of their codes, from ``{"0": "background", ...}`` or its inverse.

    Raises:
        UserError: for codes with gaps, regions (a name for several codes), or an ignored code.
    """
    labels = described.get("labels")
    if labels is None:
        return None
    wrong = UserError(
        f"{folder / NAME}: 'labels' must name the codes 0, 1, 2, ... "
        'such as {"0": "background", "1": "RV"}: correct it.'
    )
    if not isinstance(labels, dict):
        raise wrong
    region = next((name for name, codes in labels.items() if isinstance(codes, list)), None)
    if region is not None:
        raise UserError(
            f"{folder / NAME}: '{region}' is a region of several codes, but 'labels' must name the "
            "codes 0, 1, 2, ... one by one: name single codes (--classes 1=NAME,2=NAME merges them)."
        )
    try:
        pairs = [(int(code), str(name)) for code, name in labels.items()]
    except (TypeError, ValueError):
        try:
            pairs = [(int(code), str(name)) for name, code in labels.items()]
        except (TypeError, ValueError):
            raise wrong from None
    pairs.sort()
    names = tuple(name for _, name in pairs)
    if [code for code, _ in pairs] != list(range(len(pairs))) or len(pairs) < 2:
        raise wrong
    if len(set(names)) < len(names) or not all(names):
        raise wrong
    return ("background", *names[1:])

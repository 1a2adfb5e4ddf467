"""Labels whose values fit most files and not one of them, although nobody has named the codes."""

from collections.abc import Collection, Sequence

from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import UserError
from semiseg.text import joined

FEWEST = 4  # other labels that must agree with each other


def check_agreement(labels: Sequence[tuple[str, Collection[int]]], ignoring: bool) -> None:
    """Check that no label stores the structure of the others under another code.

    Args:
        labels: the image and the codes of each label, with 0 and ``IGNORE_INDEX``.
        ignoring: whether it is known that 255 marks ignored voxels.

    Raises:
        UserError: for a label of 0 and 255 beside labels of class codes, for a label of one code
            beside at least four others that all contain the same other codes, and for a label without
            background and with a code of its own beside at least four others with background.
    """
    drawn = [
        (source, frozenset(code for code in codes if code not in (0, IGNORE_INDEX)))
        for source, codes in labels
    ]
    known = sorted(frozenset().union(*(codes for _, codes in drawn)))
    if known and not ignoring:
        for (source, codes), (_, all_codes) in zip(drawn, labels, strict=True):
            if not codes and IGNORE_INDEX in all_codes:
                raise UserError(
                    f"The label of {source} contains 255 but no class code, while other labels contain "
                    f"{joined([str(code) for code in known])}: if 255 is a structure, save it with its "
                    "class code; if it marks what is to be ignored, use --ignore-value 255."
                )
    _check_background(drawn, labels)
    filled = [(source, codes) for source, codes in drawn if codes]
    for source, codes in filled:
        others = {other for name, other in filled if name != source}
        if len(codes) == 1 and len(others) == 1 and len(filled) > FEWEST:
            usual = next(iter(others))
            if not codes & usual:
                (code,) = codes
                raise UserError(
                    f"The label of {source} contains code {code}, but all {len(filled) - 1} others "
                    f"contain {joined([str(one) for one in sorted(usual)])} instead: correct it, or "
                    f"name the codes, for example --classes {min(usual)}=NAME,{code}=NAME."
                )


def _check_background(
    drawn: Sequence[tuple[str, frozenset[int]]], labels: Sequence[tuple[str, Collection[int]]]
) -> None:
    bare = [one for one, (_, codes) in zip(drawn, labels, strict=True) if 0 not in codes]
    if len(bare) != 1 or len(drawn) <= FEWEST:
        return
    ((source, codes),) = bare
    others = frozenset().union(*(own for name, own in drawn if name != source))
    if codes - others and {code - 1 for code in codes} <= others | {0}:
        raise UserError(
            f"The label of {source} contains {joined([str(code) for code in sorted(codes)])} and no "
            f"background, while all {len(drawn) - 1} others contain 0: its codes look shifted by one; "
            "correct it, or name the codes with --classes."
        )

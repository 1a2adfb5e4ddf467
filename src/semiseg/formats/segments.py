"""Names and colours of segments in the header of a ``.seg.nrrd`` by 3D Slicer."""

import dataclasses
import re
from pathlib import Path

HEADER = 2**20  # bytes: enough for a hundred segments with all fields of Slicer
ENTRY = re.compile(r"^Segment(\d+)_(Name|LabelValue|Color|Layer):=(.*)$")


@dataclasses.dataclass(frozen=True)
class Segment:
    """A segment: its code in the file's voxels, its name, and its colour (``#rrggbb``) if any."""

    code: int
    name: str
    colour: str | None


def read_segments(path: Path) -> tuple[Segment, ...]:
    """The segments of an NRRD file in their order; () if it names none or has another format."""
    if not (path.name.lower().endswith((".nrrd", ".nhdr")) and path.is_file()):
        return ()
    try:
        with open(path, "rb") as file:
            lines = file.read(HEADER).split(b"\n\n", 1)[0].decode("utf-8", "replace").splitlines()
    except OSError:  # reported when the file is read
        return ()
    entries: dict[int, dict[str, str]] = {}
    for line in lines:
        found = ENTRY.match(line.rstrip())
        if found:
            entries.setdefault(int(found[1]), {})[found[2]] = found[3].strip()
    segments = []
    for _, entry in sorted(entries.items()):
        code = entry.get("LabelValue", "")
        if entry.get("Name") and code.isdecimal() and 0 < int(code) < 256:
            segments.append(Segment(int(code), entry["Name"], _colour(entry.get("Color", ""))))
    return tuple(segments)


def _colour(text: str) -> str | None:
    """``0.5 0.68 0.31`` -> ``#80ad4f``."""
    try:
        parts = [round(255 * float(part)) for part in text.split()]
    except (ValueError, OverflowError):
        return None
    if len(parts) != 3 or not all(0 <= part <= 255 for part in parts):
        return None
    return "#" + "".join(f"{part:02x}" for part in parts)

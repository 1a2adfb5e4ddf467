"""What has changed in the images and labels of a source since it was prepared."""

import dataclasses
from collections.abc import Sequence

from semiseg.preparation.changes import Earlier
from semiseg.preparation.scanning import Plan
from semiseg.preparation.sources import unchanged
from semiseg.text import listed, plural


@dataclasses.dataclass(frozen=True)
class CaseChanges:
    """Identifiers of cases by the kind of their change.

    Attributes:
        new: images that were not there.
        gone: images that are no longer there.
        labelled: images that got a label.
        unlabelled: images whose label was removed.
        corrected: images with another label.
        images: images with other voxels.
    """

    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    labelled: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    corrected: tuple[str, ...] = ()
    images: tuple[str, ...] = ()

    def sentences(self) -> list[str]:
        """One sentence per kind of change."""
        kinds: tuple[tuple[Sequence[str], str, str], ...] = (
            (self.new, "is new", "are new"),
            (self.labelled, "got a label", "got a label"),
            (self.corrected, "has another label", "have another label"),
            (self.images, "changed", "changed"),
            (self.unlabelled, "lost its label", "lost their labels"),
            (self.gone, "is no longer there", "are no longer there"),
        )
        return [
            f"{plural(len(found), 'image')} {one if len(found) == 1 else many}: {listed(found)}."
            for found, one, many in kinds
            if found
        ]


def changes_of_cases(earlier: Earlier, plan: Plan) -> list[str]:
    """The changes since ``earlier`` as sentences; empty if nothing has changed."""
    if earlier.changed is None:
        return []
    before = earlier.before
    names = {case.identifier for case in before.manifest.cases}
    now = {case.identifier: case for case in plan.scan.cases}
    kinds: dict[str, list[str]] = {field.name: [] for field in dataclasses.fields(CaseChanges)}
    kinds["new"] = [name for name in now if name not in names]
    kinds["gone"] = sorted(names - now.keys())
    for name, case in now.items():
        record = before.records.get(name)
        if name in earlier.known or record is None:
            continue
        had, has = record.voxels is not None, case.has_label
        files = case.stored_names(plan.source)
        if not had and has:
            kinds["labelled"].append(name)
        elif had and not has:
            kinds["unlabelled"].append(name)
        elif not unchanged(record.files, case.files, files):
            same_image = unchanged(record.files[:1], case.files[:1], files[:1])
            kinds["corrected" if has and same_image and len(files) > 1 else "images"].append(name)
    found = CaseChanges(**{kind: tuple(cases) for kind, cases in kinds.items()}).sentences()
    return found or [f"The data set was prepared again: {earlier.changed}."]

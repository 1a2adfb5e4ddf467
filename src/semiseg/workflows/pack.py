"""``semiseg pack`` and ``semiseg unpack``: a prepared data set as one compressed file."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from numpy.lib.format import open_memmap

from semiseg.console import Console
from semiseg.data.check import check_data
from semiseg.data.manifest import PARTS, Manifest, PreparedData, Split, write_manifest
from semiseg.data.splits import counted
from semiseg.errors import UserError, unknown
from semiseg.files import LOCK, atomic_output, check_file, remove_partials, unwritable
from semiseg.locking import locked
from semiseg.preparation.pack import Pack, is_pack, room_for, write_pack
from semiseg.preparation.packing import Bits
from semiseg.preparation.store import (
    KINDS,
    check_output,
    is_partial_set,
    is_prepared,
    put_in_place,
    remove_set,
    size_of,
)
from semiseg.stopping import listening


def pack(
    data: Path | str,
    out: Path | str,
    *,
    bits: int = 16,
    part: str | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> Manifest:
    """Write a prepared data set as one compressed file.

    Labels are stored exactly. Images are stored exactly if they are pictures of 8 bits, or integers that fit
    (16 bits hold every int16). Other images are rounded to 1/255 or 1/65535 of the range between the case's
    bounds, which is the range that networks see.

    Args:
        data: the prepared data set.
        out: the file to write.
        bits: bits per image value, 8 or 16.
        part: 'train', 'validation' or 'test'; default: all cases.
        overwrite: replace ``out``.
        console: prints messages and progress.

    Returns:
        The manifest of the packed cases.

    Raises:
        UserError: if ``bits`` or ``part`` is invalid, the part is empty, the data are damaged, or the file
            exists or cannot be written.
    """
    out, console = Path(out), console or Console()
    if bits not in (8, 16):
        raise UserError(f"--bits {bits}: give 8 or 16.")
    chosen: Bits = 8 if bits == 8 else 16
    prepared = PreparedData(data)
    if out.is_dir():
        raise UserError(
            f"{out} is a folder: give a file with -o, such as {Path(data).name}.semiseg."
        )
    if out.exists() and not overwrite:
        raise UserError(f"{out} exists: choose another file, or replace it with --overwrite.")
    if out.exists() and not is_pack(out):
        raise UserError(f"{out} exists and is not a packed data set: choose another file.")
    manifest = _only(prepared.manifest, part)
    remove_partials(out.parent, out.name)
    count = len(manifest.cases)
    with atomic_output(out) as partial, listening() as stop, console.bar("packing", count) as bar:
        for _ in write_pack(partial, prepared, manifest, chosen):
            bar.advance()
            stop.pass_on()
    before = sum(_bytes(prepared, case.identifier, case.labelled) for case in manifest.cases)
    after = out.stat().st_size
    console.info(
        f"{counted(manifest.cases, manifest.task.kind)}: {before / 1e6:,.1f} MB packed into "
        f"{after / 1e6:,.1f} MB with {bits} bits ({before / after:.1f} times less): {out}"
    )
    return manifest


def unpack(
    file: Path | str, out: Path | str, *, overwrite: bool = False, console: Console | None = None
) -> Manifest:
    """Restore a prepared data set from a packed file, and verify it.

    Args:
        file: a file that `pack` wrote.
        out: the data set's folder. It is created only when the data set is complete.
        overwrite: replace a prepared data set at ``out``.
        console: prints messages and progress.

    Returns:
        The manifest.

    Raises:
        UserError: if the file is not a packed data set or is damaged, or if the folder exists or cannot be
            written.
    """
    file, out, console = Path(file), Path(out), console or Console()
    check_file(file, "give a file that 'semiseg pack' wrote")
    check_output(out, file)
    if is_prepared(out) and not overwrite:
        raise UserError(f"{out} exists: choose another folder, or replace it with --overwrite.")
    final = out.resolve()
    partial = final.with_name(f".{final.name}.unpacking")
    with Pack(file) as packed:
        room_for(packed, final.parent)
        with locked(partial, "unpacking"):
            if is_prepared(out) and not overwrite:  # by another process, since the first check
                raise UserError(f"{out} exists: choose another folder, or use --overwrite.")
            names = {case.identifier for case in packed.manifest.cases}
            if not is_partial_set(partial, names) or is_prepared(partial):
                raise UserError(
                    f"{partial} is needed to unpack, but contains something else: rename it."
                )
            try:
                with _removed(partial):
                    manifest = _unpack(packed, partial, console)
                    check_data(partial)
                    size = size_of(partial)
                    put_in_place(partial, final)
                (final / LOCK).unlink(missing_ok=True)
            except OSError as error:
                raise unwritable(out, error) from None
    console.info(
        f"{counted(manifest.cases, manifest.task.kind)} unpacked to {out} ({size / 1e6:,.1f} MB)."
    )
    return manifest


@contextlib.contextmanager
def _removed(folder: Path) -> Iterator[None]:
    """Remove what a killed process left in ``folder`` before, and what is left in it after the block."""
    for kind in KINDS:
        for path in (folder / kind).glob("*.npy"):
            path.unlink()
    try:
        yield
    finally:
        remove_set(folder)


def _unpack(packed: Pack, folder: Path, console: Console) -> Manifest:
    cases = packed.manifest.cases
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    with listening() as stop, console.bar("unpacking", len(cases)) as bar:
        for case in cases:
            dtype = packed.content.codings[case.identifier].dtype
            image = folder / "images" / f"{case.identifier}.npy"
            packed.unpack_image(case, open_memmap(image, "w+", dtype, case.shape))
            if case.labelled:
                label = folder / "labels" / f"{case.identifier}.npy"
                depth, _, height, width = case.shape
                packed.unpack_label(case, open_memmap(label, "w+", "u1", (depth, height, width)))
            bar.advance()
            stop.pass_on()
    notes = list(packed.manifest.notes)
    lossy = sum(not coding.exact for coding in packed.content.codings.values())
    if lossy:
        steps = 2**packed.content.bits - 1
        notes.append(
            f"{lossy:,} images were packed with {packed.content.bits} bits: they equal those of the "
            f"source to 1/{steps:,} of the range that networks see."
        )
    manifest = packed.manifest.model_copy(update={"notes": tuple(notes)})
    write_manifest(folder, manifest)
    return manifest


def _only(manifest: Manifest, part: str | None) -> Manifest:
    """The manifest of one part of the split."""
    if part is None:
        return manifest
    name = next((known for known in PARTS if known == part), None)
    if name is None:
        raise unknown("part", part, PARTS)
    patients = manifest.split.part(name)
    cases = tuple(case for case in manifest.cases if case.patient in set(patients))
    if not cases:
        raise UserError(f"--part {part}: this part of the split is empty; leave --part out.")
    empty: dict[str, tuple[str, ...]] = dict.fromkeys(PARTS, ())
    split = Split(
        **(empty | {name: patients}),
        labelled_order=manifest.split.labelled_order if name == "train" else None,
        origin=manifest.split.origin,
    )
    note = f"only the {part} part of a larger set was packed."
    return manifest.model_copy(
        update={"cases": cases, "split": split, "notes": (*manifest.notes, note)}
    )


def _bytes(data: PreparedData, identifier: str, labelled: bool) -> int:
    image = data.image(identifier).nbytes
    return image + (data.label(identifier).nbytes if labelled else 0)

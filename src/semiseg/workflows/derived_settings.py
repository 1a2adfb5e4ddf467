"""What follows from the input's size for networks and methods: depth, batch, taps, sides of patches.

No setting is made of it: networks and methods take it from the size that is in use in the end, whoever
chose that. ``prepare`` states it for the size that the data suggest, ``train`` for the one it trains at.
"""

from collections.abc import Sequence

from semiseg.config import DataConfig, TrainingConfig, UNetConfig
from semiseg.data.manifest import Decision
from semiseg.methods.parts.taps import CUBES, USUAL_SCALES, default_sides
from semiseg.preparation.auto_config import in_steps

CELLS = 5  # cross-level's n


def derived_settings(decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """What follows from the decisions of a set, where no preset and no ``--set`` says otherwise."""
    chosen = {decision.option: decision.value for decision in decisions}
    if chosen.get("data.dimensions") == 3:
        data = DataConfig(dimensions=3, patch=tuple(chosen["data.patch"]))
    else:
        data = DataConfig(size=chosen["data.size"])
    return of_input(data, "training.batch_size" not in chosen)


def of_input(data: DataConfig, batch: bool = True) -> tuple[Decision, ...]:
    """What follows from one input.

    Args:
        data: of the configuration.
        batch: say that of slices too, whose default no decision changes.
    """
    flat = data.dimensions == 2
    size, shown = data.size, f"{data.size} x {data.size}" if flat else data.input_size
    levels = len(UNetConfig().channels)
    sides = default_sides(size) if flat else CUBES
    training = TrainingConfig()
    values: list[tuple[str, object, str]] = []
    if flat and batch:
        rest = training.batch_size - training.labelled_batch_size
        values.append(
            (
                "training.batch_size", training.batch_size,
                f"the field's {training.labelled_batch_size} labelled and {rest} unlabelled slices of "
                f"{shown}",
            )
        )  # fmt: skip
    depth = (
        f"{levels} levels: {size} is halved {levels - 1} times, to {size // 2 ** (levels - 1)}"
        if flat
        else f"{levels} levels: each axis of {shown} is halved from where voxels are cubes on"
    )
    values += [
        ("unet.channels", list(UNetConfig().channels), depth),
        (
            "mcsc.scales", list(USUAL_SCALES),
            f"full resolution and an eighth of {shown}, where the paper contrasts",
        ),
        (
            "mcsc.patch_sides", str({scale: sides[scale] for scale in USUAL_SCALES}),
            "19/224 of the side and half of the map at 1/8, as in the paper" if flat
            else "cubes of about as many voxels as the paper's squares have pixels",
        ),
    ]  # fmt: skip
    if flat:
        cut = in_steps(size, 16 * CELLS)
        values += [
            (
                "cross-level.patches", CELLS,
                f"{CELLS} x {CELLS} cells of {cut // CELLS} pixels in {cut} x {cut}",
            ),
            (
                "plgcl's windows", f"{size // 4} pixels, every {size // 8}",
                "a quarter of the side, half of it apart; no setting",
            ),
        ]  # fmt: skip
    return tuple(Decision(option=o, value=value, reason=why) for o, value, why in values)

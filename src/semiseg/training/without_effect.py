"""Settings that the user gives and that have no effect beside the others. A training says which."""

from collections.abc import Iterator

from semiseg import methods
from semiseg.config import GIVEN, Resolved, RunConfig


def without_effect(resolved: Resolved, validated: bool) -> dict[str, str]:
    """The settings of ``--set`` and of a study's row that have no effect, and why.

    Args:
        resolved: the configuration of a training.
        validated: whether there are validation cases.

    Returns:
        By ``section.option``, the end of a sentence such as 'has no effect: supervised trains unet'.
    """
    config = resolved.config
    trained = " and ".join(config.networks)
    reasons = dict(_reasons(config, validated))
    found = dict.fromkeys(resolved.unused, f"{config.method} trains {trained}")
    for option, origin in resolved.origins.items():
        if origin in GIVEN and option in reasons:
            found[option] = reasons[option]
    sentences = {option: f"has no effect: {reason}" for option, reason in found.items()}
    training = config.training
    late = [step for step in training.keep_weights_at if step > training.iterations]
    if late and training.seconds is None:
        last = f"the run has {training.iterations:,} iterations"
        sentences["training.keep_weights_at"] = f"names {', '.join(map(str, late))}, but {last}"
    return sentences


def _reasons(config: RunConfig, validated: bool) -> Iterator[tuple[str, str]]:
    """Options that have no effect if they are given, and why."""
    data, training = config.data, config.training
    if data.dimensions == 2:
        for name in ("patch", "spacing"):
            yield f"data.{name}", "slices are trained (data.dimensions=2)"
        if data.crop_size is None:
            for name in ("foreground", "overlap"):
                yield f"data.{name}", "whole slices are trained, without data.crop_size"
        else:
            yield "data.size", "crops have the side data.crop_size"
    else:
        yield "data.size", "patches have the size data.patch"
    if not data.rotation:
        yield "data.rotation_degrees", "data.rotation is 0"
    elif data.quarter_turns_and_flips == 1:
        yield "data.rotation", "every image is turned or flipped (data.quarter_turns_and_flips=1)"
    if not data.elastic:
        for name in ("elastic_displacement", "elastic_spacing"):
            yield f"data.{name}", "data.elastic is 0"
    if training.optimiser != "sgd":
        yield "training.momentum", f"training.optimiser is {training.optimiser}"
    if training.schedule != "polynomial":
        yield "training.power", f"training.schedule is {training.schedule}"
    if not validated:
        for name in ("validate_every", "validation_cases"):
            yield f"training.{name}", "no case is held out for validation"
    method = methods.entry(config.method).load()
    batch = config.options.get("batch") or ("whole" if method.fills_batch else "labelled")
    if batch == "whole" and not method.reads_unlabelled(config) and training.epochs is None:
        yield (
            "training.labelled_batch_size",
            f"all images of a batch of {config.method} are labelled",
        )

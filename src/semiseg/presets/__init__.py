"""Settings of papers, profiles of machines, studies and splits, one file each.

- ``papers/NAME.yaml``: the settings of a paper and the name of its method.
- ``profiles/MACHINE.yaml``: settings that a machine can afford, for any method.
- ``profiles/MACHINE/METHOD.yaml``: additional settings of one method (an overlay).
- ``studies/NAME.yaml``: named variants for a benchmark.
- ``splits/NAME.json``: the patients of each part of a data set.

A preset has ``summary``, ``source`` and the sections of ``--set``. With ``extends: NAME`` it contains
only the differences from another preset in its folder. Sections of methods and networks that are not
trained are ignored. There are three kinds of preset names:

- ``NAME``: a paper.
- ``MACHINE``: a profile with the overlay of the method that is trained.
- ``METHOD-MACHINE``: a profile with the overlay of METHOD for every method, so that a comparison
  trains all methods alike. Other methods take only their own section from their overlay.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semiseg.errors import UserError, unknown
from semiseg.strict import shown
from semiseg.yaml_text import parse_yaml

HERE = Path(__file__).parent
PAPERS, PROFILES, STUDIES = HERE / "papers", HERE / "profiles", HERE / "studies"
NO_SECTIONS = ("summary", "source", "method", "extends", "variants")


def profiles() -> list[str]:
    """Names of all machine profiles."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def overlays(profile: str) -> list[str]:
    """Names of the methods that have an overlay for a profile."""
    return sorted(path.stem for path in (PROFILES / profile).glob("*.yaml"))


def names() -> list[str]:
    """Names of all presets."""
    papers = [path.stem for path in PAPERS.glob("*.yaml")]
    composed = [f"{method}-{profile}" for profile in profiles() for method in overlays(profile)]
    return sorted([*papers, *profiles(), *composed])


def study_names() -> list[str]:
    """Names of all studies."""
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def split_names() -> list[str]:
    """Names of all published splits."""
    return sorted(path.stem for path in (HERE / "splits").glob("*.json"))


def split_file(name: str) -> Path:
    """The file of a named split, or ``name`` itself if it is a file; else raises `UserError`."""
    if Path(name).is_file():
        return Path(name)
    if name not in split_names():
        raise unknown("split (a JSON file, or a name)", name, split_names())
    return HERE / "splits" / f"{name}.json"


def load(name: str, method: str | None = None) -> dict[str, Any]:
    """A preset by name, or from a file whose name ends in .yaml.

    Args:
        name: see the module.
        method: the method to train; it selects the overlay.

    Returns:
        Its sections, ``summary``, ``source``, and ``method`` if it names one.

    Raises:
        UserError: for an unknown name or an unreadable file.
    """
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise unknown("preset", name, names())
        return _read(Path(name), "preset")
    if name in profiles():
        return _merge(_extended(PROFILES, name), _without_description(_overlay(name, method)))
    composed = {f"{m}-{p}": (m, p) for p in profiles() for m in overlays(p)}
    if name in composed:
        overlay, machine = composed[name]
        content = _merge(_extended(PROFILES, machine), _overlay(machine, overlay))
        if method is not None and method != overlay:
            content = _merge(content, {method: _overlay(machine, method).get(method, {})})
        return {"method": overlay, **content}
    if name not in names():
        raise unknown("preset", name, names())
    return _extended(PAPERS, name)


def load_study(name: str) -> dict[str, Any]:
    """A study by name, or from a file whose name ends in .yaml."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else STUDIES / f"{name}.yaml"
    if not path.is_file():
        raise unknown("study", name, study_names())
    study = _read(path, "study")
    variants = study.get("variants")
    if (
        not isinstance(variants, dict)
        or not variants
        or not all(isinstance(v, dict) and "method" in v for v in variants.values())
    ):
        raise UserError(
            f"Study '{name}' needs 'variants:': give each a 'method:' and its sections."
        )
    names = list(map(str, variants))
    if len(set(names)) < len(names):
        raise UserError(f"Study '{name}' has two variants of one name: rename one of them.")
    for variant, content in variants.items():
        where = f"Study '{name}', variant '{variant}'"
        _check_sections(content, NO_SECTIONS, where)
        if "seed" in content.get("training", {}):  # it would take precedence over the seeds
            raise UserError(
                f"{where} sets training.seed, which every run of a benchmark has of its own: remove it and "
                "use --seeds."
            )
    return study


def _overlay(profile: str | None, method: str | None) -> dict[str, Any]:
    """A method's overlay for a profile or for one that it extends; empty if there is none."""
    while method is not None and profile is not None:
        if method in overlays(profile):
            return _extended(PROFILES / profile, method)
        profile = _cached(PROFILES / f"{profile}.yaml").get("extends")
    return {}


@functools.cache
def _cached(path: Path) -> dict[str, Any]:
    return _read(path, "preset")


def _extended(folder: Path, name: str) -> dict[str, Any]:
    """A preset of a folder, merged over the preset that it extends."""
    content = dict(_cached(folder / f"{name}.yaml"))
    base = content.pop("extends", None)
    return content if base is None else _merge(_extended(folder, base), content)


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge two presets; options of ``over`` take precedence."""
    merged = dict(under)
    for key, value in over.items():
        base = merged.get(key)
        merged[key] = (
            {**base, **value} if isinstance(base, dict) and isinstance(value, dict) else value
        )
    return merged


def _without_description(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in ("summary", "source")}


def _read(path: Path, what: str) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"The {what} {path} does not exist: check the path.")
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} cannot be read as YAML ({reason}): correct the file.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a {what}: add named sections.")
    _check_sections(content, NO_SECTIONS, f"{path}")
    return content


def _check_sections(content: dict[Any, Any], texts: Sequence[str], where: str) -> None:
    """Check that sections have named values, and that the description is text.

    Raises:
        UserError: naming the first entry that does not.
    """
    for name, value in content.items():
        if not isinstance(name, str):
            raise UserError(f"{where}: the name {shown(name)} must be a text: correct the file.")
        if name in texts and name != "variants":
            if not isinstance(value, str):
                raise UserError(f"{where}: '{name}' must be a text, got {shown(value)}.")
        elif name != "variants" and not (
            isinstance(value, dict) and all(isinstance(key, str) for key in value)
        ):
            raise UserError(
                f"{where}: the section '{name}' has no named values: add some, such as 'iterations: 2000' "
                "in 'training', or remove it."
            )


def sections(preset: dict[str, Any]) -> dict[str, Any]:
    """The configuration sections of a preset."""
    return {k: v for k, v in preset.items() if k not in NO_SECTIONS}

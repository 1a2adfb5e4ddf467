"""Settings of papers, profiles of machines, studies and splits, one file each.

- ``papers/NAME.yaml``: the settings of a paper and the name of its method.
- ``profiles/MACHINE.yaml``: settings that a machine can afford, for any method.
- ``profiles/MACHINE/METHOD.yaml``: additional settings of one method (an overlay).
- ``studies/NAME.yaml``: named variants for a benchmark.
- ``splits/NAME.json``: the patients of each part of a data set.

A preset has ``summary``, ``source`` and the sections of ``--set``. With ``extends: NAME`` it contains
only the differences from another preset: one in its folder, or, in a file of the user, any preset that has
a name. Sections of methods and networks that are not trained are ignored. There are three kinds of preset
names:

- ``NAME``: a paper.
- ``MACHINE``: a profile with the overlay of the method that is trained.
- ``METHOD-MACHINE``: a profile with the overlay of METHOD for every method, so that a comparison
  trains all methods alike. Other methods take only their own section from their overlay.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semiseg.config import RIVALS
from semiseg.errors import UserError, unknown
from semiseg.files import is_file
from semiseg.strict import shown
from semiseg.yaml_text import parse_yaml

HERE = Path(__file__).parent
PAPERS, PROFILES, STUDIES = HERE / "papers", HERE / "profiles", HERE / "studies"
DESCRIPTION = ("summary", "source")
NO_SECTIONS = (*DESCRIPTION, "method", "extends", "variants")
SUFFIXES = (".yaml", ".yml")
"""The endings of a preset or a study in a file; every other word is a name."""


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
    """The file of a split: of a published one by its name, or else ``name`` itself.

    A file that has the name of a published split is given with its folder, such as ``./NAME``.

    Raises:
        UserError: if there is neither.
    """
    if name in split_names():
        return HERE / "splits" / f"{name}.json"
    if not is_file(name):
        raise unknown("split (a JSON file, or a name)", name, split_names())
    return Path(name)


def load(name: str, method: str | None = None) -> dict[str, Any]:
    """A preset by name, or from a file whose name ends in .yaml.

    Args:
        name: see the module.
        method: the method to train; it selects the overlay.

    Returns:
        Its sections, ``summary``, ``source``, and ``method`` if it names one.

    Raises:
        UserError: for an unknown name, or a file that is unreadable or a study.
    """
    if name.endswith(SUFFIXES):
        return _of_file(name, method)
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


def _of_file(name: str, method: str | None) -> dict[str, Any]:
    """A preset in a file of the user, merged over the preset that it extends."""
    if not is_file(name):
        raise unknown("preset", name, names())
    content = _read(Path(name), "preset")
    if "variants" in content:
        raise UserError(
            f"{name} is a study, since it has 'variants': use benchmark --study {name}."
        )
    base = content.pop("extends", None)
    if base is None:
        return content
    if base.endswith(SUFFIXES):
        raise UserError(
            f"{name}: 'extends' takes the name of a preset that 'semiseg presets' lists, not a file: copy "
            f"the sections of {base}."
        )
    if base not in names():
        raise unknown(f"preset ('extends' in {name})", base, names())
    return _merge(_without_description(load(base, method or content.get("method"))), content)


def load_study(name: str) -> dict[str, Any]:
    """A study by name, or from a file whose name ends in .yaml.

    Raises:
        UserError: for an unknown name, an unreadable file, or entries that would have no effect.
    """
    given = name.endswith(SUFFIXES)
    if not (is_file(name) if given else name in study_names()):
        raise unknown("study", name, study_names())
    study = _read(Path(name) if given else STUDIES / f"{name}.yaml", "study")
    variants = study.get("variants")
    if (
        not isinstance(variants, dict)
        or not variants
        or not all(isinstance(v, dict) and "method" in v for v in variants.values())
    ):
        raise UserError(
            f"Study '{name}' needs 'variants:': give each a 'method:' and its sections."
        )
    outside = next((key for key in study if key not in (*DESCRIPTION, "variants")), None)
    if outside is not None:
        raise UserError(
            f"Study '{name}' has '{outside}' outside of its variants, where it would have no effect: move it "
            "into each variant, or use --set or --preset."
        )
    names = list(map(str, variants))
    if len(set(names)) < len(names):
        raise UserError(f"Study '{name}' has two variants of one name: rename one of them.")
    for variant, content in variants.items():
        where = f"Study '{name}', variant '{variant}'"
        _check_sections(content, NO_SECTIONS, where)
        other = next((key for key in NO_SECTIONS if key in content and key != "method"), None)
        if other is not None:
            raise UserError(
                f"{where} has '{other}', but a variant has only 'method' and sections: remove it."
            )
        if "seed" in content.get("training", {}):  # it would take precedence over the seeds
            raise UserError(
                f"{where} sets training.seed, which every run of a benchmark has of its own: remove it and "
                "use --seeds."
            )
    return study


def load_either(name: str) -> dict[str, Any]:
    """A preset or a study, by name or from a file; raises `UserError` if there is none."""
    if name in study_names():
        return load_study(name)
    if name.endswith(SUFFIXES) and is_file(name) and "variants" in _read(Path(name), "preset"):
        return load_study(name)
    return load(name)


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
    """Merge two presets; options of ``over`` take precedence, also over those that they exclude."""
    merged = dict(under)
    for key, value in over.items():
        base = merged.get(key)
        if not (isinstance(base, dict) and isinstance(value, dict)):
            merged[key] = value
            continue
        excluded = {RIVALS.get(f"{key}.{option}") for option in value if value[option] is not None}
        kept = {option: base[option] for option in base if option not in excluded}
        merged[key] = {**kept, **value}
    return merged


def _without_description(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in DESCRIPTION}


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

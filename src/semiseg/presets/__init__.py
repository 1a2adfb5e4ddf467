"""The papers' settings and ours for small machines, one YAML file each, and named studies.

A preset has ``summary``, ``source`` and sections as in ``--set``; sections of other methods than the
one that is trained are left out. A study (``studies/*.yaml``) has named variants of such sections. A
split (``splits/*.json``) names the patients of each part of a data set.
"""

from pathlib import Path
from typing import Any

import yaml

from semiseg.errors import UserError, unknown

HERE = Path(__file__).parent


def names() -> list[str]:
    """All presets."""
    return sorted(path.stem for path in HERE.glob("*.yaml"))


def study_names() -> list[str]:
    """All studies."""
    return sorted(path.stem for path in (HERE / "studies").glob("*.yaml"))


def split_names() -> list[str]:
    """All splits that comparisons in print have in common."""
    return sorted(path.stem for path in (HERE / "splits").glob("*.json"))


def split_file(name: str) -> Path:
    """The file of a named split, or the file that ``name`` is; raises `UserError` for neither."""
    if Path(name).is_file():
        return Path(name)
    if name not in split_names():
        raise unknown("split (a JSON file, or a name)", name, split_names())
    return HERE / "splits" / f"{name}.json"


def load(name: str) -> dict[str, Any]:
    """A preset by name, or from a file whose name ends in .yaml."""
    return _load(name, HERE, names(), "preset")


def load_study(name: str) -> dict[str, Any]:
    """A study by name, or from a file whose name ends in .yaml."""
    study = _load(name, HERE / "studies", study_names(), "study")
    variants = study.get("variants")
    if not isinstance(variants, dict) or not all(
        isinstance(v, dict) and "method" in v for v in variants.values()
    ):
        raise UserError(
            f"Study '{name}' needs 'variants:', each with a 'method:' and its sections."
        )
    return study


def _load(name: str, folder: Path, known: list[str], what: str) -> dict[str, Any]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        raise unknown(what, name, known)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError):
        raise UserError(f"{path} cannot be read as YAML.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is no {what}: it needs named sections.")
    return content


def sections(preset: dict[str, Any]) -> dict[str, Any]:
    """What of a preset is configuration."""
    return {k: v for k, v in preset.items() if k not in ("summary", "source", "method", "variants")}

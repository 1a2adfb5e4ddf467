"""Reading of JSON files that semiseg wrote, through typed models.

Such a file may have been cut off, edited, or received from someone else.
"""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from semiseg.errors import UserError
from semiseg.strict import readable

M = TypeVar("M", bound=BaseModel)


def read_stored(path: Path, model: type[M], remedy: str) -> M:
    """Read ``path`` as a ``model``.

    Raises:
        UserError: if the file is missing, empty, cut off or damaged, or a field has a wrong value. The
            message names the file and the field, and ends with ``remedy``.
    """
    return parse_stored(text_of(path, remedy), path, model, remedy)


def text_of(path: Path, remedy: str) -> str:
    """The text of a file; raises `UserError` if it is missing or not a text."""
    if not path.is_file():
        what = "is not a file" if path.exists() else "is missing"
        raise UserError(f"{path} {what}: {remedy}.")
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {remedy}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is damaged (it is not a text): {remedy}.") from None


def parse_stored(text: str | bytes, path: Path, model: type[M], remedy: str) -> M:
    """Parse JSON as a ``model``; ``path`` is the file that it was read from. Raises as `read_stored`."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise wrong(path, error, remedy, empty=not text.strip()) from None


def wrong(path: Path, error: ValidationError, remedy: str, empty: bool = False) -> UserError:
    """The error for a file whose content is not that of its model."""
    if empty:
        return UserError(f"{path} is empty: {remedy}.")
    if error.errors(include_url=False, include_context=False)[0]["type"] == "json_invalid":
        return UserError(f"{path} is cut off or damaged: {remedy}.")
    return UserError(f"{path}: {readable(error).removesuffix('.')}: {remedy}.")

"""Checks of the identifiers of cases, which become file names on any system."""

import unicodedata

LONGEST = 180  # bytes: file systems allow 255, and prefixes and suffixes are added
RESERVED = '/\\:*?"<>|'
DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}


def flaw_of(identifier: str) -> str | None:
    """Why ``identifier`` cannot be a file name, as the end of a sentence; None if it can."""
    if not identifier.strip():
        return "is empty"
    if identifier.startswith((".", " ")) or identifier.endswith((".", " ")):
        return "begins or ends with a dot or a space"
    if found := next((c for c in identifier if c in RESERVED), None):
        return f"contains the character {found}"
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in identifier):
        return "contains unprintable characters"
    if len(identifier.encode()) > LONGEST:
        return f"is longer than {LONGEST} bytes"
    if identifier.split(".")[0].lower() in DEVICES:
        return "is the name of a device on some systems"
    return None


def identifier_key(identifier: str) -> str:
    """A key that is equal for identifiers that some file systems do not distinguish."""
    return unicodedata.normalize("NFKC", identifier).casefold()

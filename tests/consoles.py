"""A console that keeps what is said."""

from semiseg.console import Quiet


class Listening(Quiet):
    """Keeps the messages."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def info(self, text: str = "") -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(text)

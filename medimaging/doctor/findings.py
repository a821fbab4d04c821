"""What an examination finds: a level, a stable code, a sentence, and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from medimaging.configuration import VARIABLES, Configuration

SHORTEST_CUT = 3
"""Letters: what is shorter would be cut out of every other word."""
CUT = "…"


class Level(StrEnum):
    """How much it matters."""

    OK = "ok"
    WARNING = "warning"
    """It works; somebody should look."""
    ERROR = "error"
    """Something doesn't work, or isn't safe."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `action` is empty where there is nothing to do."""

    level: Level
    code: str
    message: str
    action: str = ""


def ok(code: str, message: str) -> Finding:
    """What is as it should be."""
    return Finding(Level.OK, code, message)


def warning(code: str, message: str, action: str) -> Finding:
    """What works and shouldn't stay so."""
    return Finding(Level.WARNING, code, message, action)


def error(code: str, message: str, action: str) -> Finding:
    """What has to be put right."""
    return Finding(Level.ERROR, code, message, action)


def first_line(failure: BaseException) -> str:
    """The first line of what a library says of a failure, ready for the end of a sentence."""
    lines = str(failure).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(failure).__name__


class Secrets:
    """What must not be printed, whatever library says it: keys, and the passwords in addresses."""

    def __init__(self, values: Configuration) -> None:
        """Collect them from the settings that are in use."""
        texts: set[str] = set()
        for name, variable in VARIABLES.items():
            value = values.values.get(name) if variable.is_secret else None
            for text in value if isinstance(value, list) else [value]:
                texts |= set(_parts_of(text or ""))
        self._texts = sorted((t for t in texts if len(t) >= SHORTEST_CUT), key=len, reverse=True)

    def cut(self, text: str) -> str:
        """Return the text without them."""
        for secret in self._texts:
            text = text.replace(secret, CUT)
        return text

    def cut_all(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return the findings without them."""
        return [
            Finding(one.level, one.code, self.cut(one.message), self.cut(one.action))
            for one in findings
        ]


def _parts_of(secret: str) -> Iterable[str]:
    """The whole of it, and of an address the password alone, as written and as meant."""
    _, is_address, rest = secret.partition("://")
    yield secret
    if is_address:
        password = rest.rpartition("@")[0].partition(":")[2]
        yield password
        yield unquote(password)

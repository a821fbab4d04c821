"""What a setting's text may be: each kind reads it, or says what is allowed.

`parse` raises ValueError with the end of a sentence whose start names the variable. None of them
repeats what was written: that is added where the variable is no secret.
"""

import re
import zoneinfo
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from medimaging.configuration import service_urls

TRUE_WORDS = ("true", "yes", "on", "1", "y")
FALSE_WORDS = ("false", "no", "off", "0", "n")
AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
HOST = re.compile(r"\*|\.?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


class Kind(Protocol):
    """How the text of one variable becomes a value."""

    def parse(self, text: str) -> Any:
        """Return the value. Raises ValueError with what is allowed."""


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no, and nothing that only looks like one."""

    def parse(self, text: str) -> bool:
        """Return whether it is a yes."""
        word = text.lower()
        if word in TRUE_WORDS:
            return True
        if word in FALSE_WORDS:
            return False
        raise ValueError("it has to be true or false")


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds, both included."""

    least: int
    most: int

    def parse(self, text: str) -> int:
        """Return the number."""
        if re.fullmatch(r"[+-]?[0-9]{1,18}", text) and self.least <= int(text) <= self.most:
            return int(text)
        raise ValueError(f"it has to be a whole number from {self.least} to {self.most}")


@dataclass(frozen=True, slots=True)
class Number:
    """A number within bounds, both included; it may have decimals."""

    least: float
    most: float

    def parse(self, text: str) -> float:
        """Return the number."""
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII):
            value = float(text)
            if self.least <= value <= self.most:
                return value
        raise ValueError(f"it has to be a number from {self.least:g} to {self.most:g}")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words, however they are capitalised."""

    words: tuple[str, ...]

    def parse(self, text: str) -> str:
        """Return the word as we write it."""
        for word in self.words:
            if text.lower() == word.lower():
                return word
        raise ValueError(f"it has to be one of {', '.join(self.words)}")


@dataclass(frozen=True, slots=True)
class Text:
    """Anything, or what a pattern describes in `allowed`."""

    pattern: re.Pattern[str] | None = None
    allowed: str = ""

    def parse(self, text: str) -> str:
        """Return it as it is."""
        if "\0" in text or (self.pattern and not self.pattern.fullmatch(text)):
            raise ValueError(f"it has to be {self.allowed or 'text without NUL characters'}")
        return text


@dataclass(frozen=True, slots=True)
class Listed:
    """Several of one kind, with commas between them."""

    one: Kind

    def parse(self, text: str) -> list[Any]:
        """Return those that aren't empty."""
        return [self.one.parse(part) for part in text.split(",") if part.strip()]


@dataclass(frozen=True, slots=True)
class Trimmed:
    """Another kind, without the spaces around it: people write "a, b"."""

    inner: Kind

    def parse(self, text: str) -> Any:
        """Return what the other kind makes of it."""
        return self.inner.parse(text.strip())


@dataclass(frozen=True, slots=True)
class Place:
    """A path; relative ones begin where the process was started."""

    def parse(self, text: str) -> Path:
        """Return the absolute path."""
        if "\0" in text:
            raise ValueError("it has to be a path")
        return Path(text).absolute()


@dataclass(frozen=True, slots=True)
class TimeZone:
    """A zone of the IANA database."""

    def parse(self, text: str) -> str:
        """Return its name."""
        try:
            zoneinfo.ZoneInfo(text)
        except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError):
            raise ValueError("it has to be a time zone such as UTC or Europe/Berlin") from None
        return text


@dataclass(frozen=True, slots=True)
class Account:
    """A demo account: user name, colon, role."""

    def parse(self, text: str) -> dict[str, str]:
        """Return both by name."""
        username, colon, role = text.partition(":")
        if not (username and colon and role):
            raise ValueError("it has to be user names with their roles, name:role")
        return {"username": username, "role": role}


@dataclass(frozen=True, slots=True)
class Bind:
    """Where the web server listens: address and port, or unix: and a path."""

    def parse(self, text: str) -> str:
        """Return it as gunicorn takes it."""
        host, colon, port = text.rpartition(":")
        is_port = bool(host and colon) and port.isascii() and port.isdigit() and int(port) < 65536
        if not (is_port or text.startswith(("unix:/", "fd://"))):
            raise ValueError("it has to be an address with its port, such as 127.0.0.1:8000")
        return text


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The address of a PostgreSQL database."""

    schemes: tuple[str, ...] = ("postgres", "postgresql", "psql", "pgsql")

    def parse(self, text: str) -> str:
        """Return it, once the parts are known to be there."""
        url = service_urls.split(text, schemes=self.schemes[:2], also=self.schemes[2:])
        name = url.path.removeprefix("/")
        if not name or "/" in name:
            raise ValueError("it has to end in the name of the database: postgres://…/medimaging")
        return text


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """The address of a Redis database."""

    def parse(self, text: str) -> str:
        """Return it, once the parts are known to be there."""
        url = service_urls.split(text, schemes=("redis", "rediss", "unix"))
        if text.startswith("unix:"):
            if url.path in ("", "/"):
                raise ValueError("it has to name the socket: unix:///run/redis.sock?db=0")
        elif not url.host:
            raise ValueError("it has to name a host: redis://host:6379/0")
        elif not re.fullmatch(r"(/[0-9]{0,4})?", url.path):
            raise ValueError("it has to end in the number of a database: redis://host:6379/0")
        return text


@dataclass(frozen=True, slots=True)
class MailUrl:
    """The address of a mail server, or one of the stand-ins that Django has for it."""

    def parse(self, text: str) -> str:
        """Return it, once the parts are known to be there."""
        stand_ins = ("consolemail", "filemail", "memorymail", "dummymail")
        servers = ("smtp", "smtps", "smtp+tls", "smtp+ssl")
        url = service_urls.split(text, schemes=servers, also=stand_ins)
        if text.startswith("smtp") and not url.host:
            raise ValueError("it has to name a host: smtp+tls://user:password@host:587")
        return text


@dataclass(frozen=True, slots=True)
class WebUrl:
    """An address of the web; an origin has no path."""

    is_origin: bool = False

    def parse(self, text: str) -> str:
        """Return it, once the parts are known to be there."""
        url = service_urls.split(text, schemes=("https", "http"))
        if not url.host:
            raise ValueError("it has to name a host: https://imaging.hospital.example")
        if self.is_origin and url.path.strip("/"):
            raise ValueError("it has to end after the host and its port, without a path")
        return text

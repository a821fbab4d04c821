"""Makes a line of JSON of each thing that a program writes which isn't one already.

Libraries written in C, banners, and errors before the settings are read don't know of our log.
"""

import json
import os
import select
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from medimaging.logs import without_secrets

TRACEBACK = "Traceback (most recent call last):"
CHAINS = ("During handling of the above", "The above exception was")
"""How the second of two tracebacks is joined to the first."""

LOGGER = "output"
"""Stands as the logger of lines that no logger wrote."""

READ_BYTES = 64 * 1024
LONGEST = 64 * 1024
"""Characters of one event: a program that never ends a line fills no memory."""

PATIENCE_S = 0.2
"""How long the lines of a traceback may be apart from one another."""


class JsonLines:
    """Takes lines one by one, and hands on events: a traceback is one, whatever its lines."""

    def __init__(self, write: Callable[[str], object], *, program: str = "") -> None:
        """`write` takes a line of JSON without its end; `program` is named in each, if given."""
        self._write = write
        self._named = {"program": program} if program else {}
        self._held: list[str] = []
        # In a traceback, from its first line to the one that names the error.
        self._is_tracing = False

    @property
    def is_holding(self) -> bool:
        """Whether lines wait for those that may belong to them."""
        return bool(self._held)

    def take(self, line: str) -> None:
        """Hand on what the line completes."""
        event = _event_of(line)
        if event is not None:
            self.flush()
            self._write(json.dumps({**self._named, **event}, ensure_ascii=False))
            return
        if not self._belongs(line):
            self.flush()
        if line.strip() or self._held:
            self._held.append(line)
        if sum(map(len, self._held)) > LONGEST:
            self.flush()

    def _belongs(self, line: str) -> bool:
        """Tell whether a line goes on with what is held."""
        was_tracing = self._is_tracing
        is_indented = line.startswith((" ", "\t"))
        begins = TRACEBACK in line
        self._is_tracing = begins or (was_tracing and (is_indented or not line))
        is_chain = line.startswith(CHAINS) or begins
        return bool(self._held) and (
            was_tracing or is_indented or not line or (is_chain and TRACEBACK in self._held[0])
        )

    def flush(self) -> None:
        """Hand on what is held."""
        text = without_secrets("\n".join(self._held).strip("\n"))
        self._held.clear()
        if text:
            level = "ERROR" if TRACEBACK in text else "INFO"
            event = {**self._named, **_as_event(text, level)}
            self._write(json.dumps(event, ensure_ascii=False))


class JsonOutput:
    """A text stream that writes to another as JSON: what a command's own output can be."""

    def __init__(self, stream: Any, *, program: str) -> None:
        self._stream = stream
        self._program = program

    def write(self, text: str) -> None:
        """Write each line that isn't empty as an event."""
        lines = JsonLines(lambda line: self._stream.write(f"{line}\n"), program=self._program)
        for line in text.splitlines():
            lines.take(line)
        lines.flush()

    def flush(self) -> None:
        """Pass on what waits."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Say that nobody reads this on a terminal: no colours."""
        return False


def copy_lines(descriptor: int, lines: JsonLines) -> None:
    """Read `descriptor` to its end, and hand everything to `lines`."""
    for text in _read_lines(descriptor, is_waiting=lambda: lines.is_holding):
        if text is None:
            lines.flush()
        else:
            lines.take(text)
    lines.flush()


def _read_lines(descriptor: int, *, is_waiting: Callable[[], bool]) -> Iterator[str | None]:
    """Yield lines, and None where nothing came for a while although somebody is waiting."""
    rest = b""
    while True:
        patience = PATIENCE_S if is_waiting() else None
        if not select.select([descriptor], [], [], patience)[0]:
            yield None
            continue
        data = os.read(descriptor, READ_BYTES)
        if not data:
            break
        *whole, rest = (rest + data).split(b"\n")
        if len(rest) > LONGEST:
            whole, rest = [*whole, rest], b""
        for line in whole:
            yield _decoded(line)
    if rest:
        yield _decoded(rest)


def _decoded(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")


def _event_of(line: str) -> dict[str, Any] | None:
    """The event that a line is, None where it is text."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _as_event(message: str, level: str) -> dict[str, Any]:
    return {
        "time": datetime.now(tz=UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "logger": LOGGER,
        "request_id": "-",
        "message": message,
    }


def to_stdout(line: str) -> None:
    """Write one line to standard output, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()

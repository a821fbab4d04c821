"""What a person sees of long work: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self, TextIO, TypeVar

Item = TypeVar("Item")

# Seconds between two lines where there is no terminal.
INTERVAL = 5.0
MINUTE, HOUR = 60, 3600


class Progress:
    """Steps done of a total (0: nobody knows), on standard error; a context that ends the bar."""

    def __init__(self, total: int, what: str, *, unit: str, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self.total, self.what, self.unit, self.done = total, what, unit, 0
        self._bar: Any = _open_bar(total, what, unit, self._stream)
        self._started = self._said = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Clear the bar."""
        if self._bar is not None:
            self._bar.close()

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Note steps that are done; `note` stands beside the bar."""
        self.move_to(self.done + steps, note)

    def move_to(self, done: int, note: str = "") -> None:
        """Note how many steps are done in all."""
        step, self.done = done - self.done, done
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(step)
            return
        now = time.monotonic()
        if now - self._said < INTERVAL and (self.done < self.total or self._said == self._started):
            return
        self._said = now
        self._stream.write(f"{self._describe(now - self._started)}\n")
        self._stream.flush()

    def _describe(self, seconds: float) -> str:
        if not self.total:
            return f"{self.what}: {self.done} {self.unit}s"
        share = self.done / self.total
        told = f"{self.what}: {self.done} of {self.total} {self.unit}s, {share:.0%}"
        left = seconds * (1 - share) / share if share else 0.0
        return f"{told}, {format_seconds(left)} left" if left else told


def _open_bar(total: int, what: str, unit: str, stream: TextIO) -> Any:
    """A bar where there is a terminal, and tqdm: the base installation answers without it."""
    if not stream.isatty() or find_spec("tqdm") is None:
        return None
    from tqdm import tqdm

    return tqdm(total=total or None, desc=what, unit=unit, leave=False, file=stream)


def track(
    items: Iterable[Item], total: int, what: str, *, unit: str, stream: TextIO | None = None
) -> Iterator[Item]:
    """The items, each counted when the next is asked for."""
    with Progress(total, what, unit=unit, stream=stream) as progress:
        for item in items:
            yield item
            progress.advance()


def format_seconds(seconds: float) -> str:
    """A time as people say it: 40 s, 3 min, 1 h 20 min."""
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{round(whole / MINUTE)} min"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"

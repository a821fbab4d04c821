"""What unpacking one file that was sent may cost: one budget for all archives inside it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.conf import settings
from django.template.defaultfilters import filesizeformat

from records.errors import ZipBomb

# Blank images pack extremely well: a ratio says something only from this size on.
RATIO_FROM_BYTES = 64 * 1024 * 1024
# Folders are listed too, and cost nothing but their names: some for each file, and a few more.
FOLDERS_FOR_A_FILE = 2
SPARE_FOLDERS = 1000
BYTES_A_SECOND = 4 * 1024 * 1024
"""What is sent buys time at this pace: a slow machine unpacks several times as much."""


@dataclass(slots=True)
class Allowance:
    """What may still be unpacked of one file that was sent, archives inside archives included.

    `packed` is the size of that file, so that nothing inside it can raise what it may cost.
    `seconds` is processor time of unpacking; what becomes of sound files isn't counted.
    """

    packed: int
    entries: int = field(default_factory=lambda: settings.INTAKE_ZIP_MAX_ENTRIES)
    refusals: int = field(default_factory=lambda: settings.INTAKE_ZIP_MAX_REFUSALS)
    size: int = field(default_factory=lambda: settings.INTAKE_ZIP_MAX_BYTES)
    nesting: int = field(default_factory=lambda: settings.INTAKE_ZIP_MAX_NESTING)
    names: int = field(init=False)
    inflated: int = field(init=False)
    seconds: float = field(init=False)

    def __post_init__(self) -> None:
        """Work out what depends on how much was sent."""
        self.names = FOLDERS_FOR_A_FILE * self.entries + SPARE_FOLDERS
        self.inflated = max(RATIO_FROM_BYTES, settings.INTAKE_ZIP_MAX_RATIO * self.packed)
        self.seconds = settings.INTAKE_ZIP_SECONDS + self.packed / BYTES_A_SECOND

    def take_names(self, count: int) -> None:
        """Count what lists of entries hold, folders included; raises ZipBomb."""
        self.names -= count
        self.check()

    def take_entries(self, count: int) -> None:
        """Count entries before any is unpacked; raises ZipBomb."""
        self.entries -= count
        if self.entries < 0:
            limit = settings.INTAKE_ZIP_MAX_ENTRIES
            raise ZipBomb(detail=f"it has more than {limit} entries")

    def take_bytes(self, count: int) -> None:
        """Count unpacked bytes; raises ZipBomb."""
        self.size -= count
        if self.size < 0:
            limit = filesizeformat(settings.INTAKE_ZIP_MAX_BYTES)
            raise ZipBomb(detail=f"it unpacks to more than {limit}")
        self.inflated -= count
        if self.inflated < 0:
            ratio = settings.INTAKE_ZIP_MAX_RATIO
            raise ZipBomb(detail=f"it unpacks to more than {ratio} times its size")

    def note_refusal(self) -> None:
        """Count an entry that was refused; `check` tells when it was one too many."""
        self.refusals -= 1

    def spend(self, seconds: float) -> None:
        """Count time spent beside the unpacking; `check` tells when it was too much."""
        self.seconds -= seconds

    def check(self) -> None:
        """Raise ZipBomb where something is used up already, on whatever level that was."""
        if self.names < 0:
            raise ZipBomb(detail="it lists too many folders")
        if self.refusals < 0:
            limit = settings.INTAKE_ZIP_MAX_REFUSALS
            raise ZipBomb(detail=f"more than {limit} of its entries had to be refused")
        if self.seconds < 0:
            raise ZipBomb(detail="unpacking it took too long for its size")

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Count the processor time of this thread meanwhile; raises ZipBomb."""
        started = time.thread_time()
        yield
        self.seconds -= time.thread_time() - started
        self.check()

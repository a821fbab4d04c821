"""Files that a run is left with, whatever stops it."""

import os
from pathlib import Path
from typing import BinaryIO

# Added to a file's name while it is being written.
PART = ".part"


class AtomicFile:
    """A file that appears under its name only once it is complete, whatever stops the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(path.name + PART)

    def __enter__(self) -> BinaryIO:
        self._stream = self.part.open("wb")
        return self._stream

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        self._stream.close()
        if kind is None:
            self.part.replace(self.path)

"""A backup set on disk: its generations, and one copy of each file under its hash."""

import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from medimaging.backup.errors import BackupDamaged, BackupRunning, NoGeneration, NotABackupSet
from records.files.spool import CHUNK_BYTES, Readable
from records.files.stores.local import flush, make_private

FORMAT = 1
LABEL = "medimaging-backup.json"
MANIFEST = "manifest.json"
DUMP = "database.dump"
LIST = "files.tsv"
UNFINISHED = ".unfinished"
REMOVED = ".removed"
FILE_MODE = 0o600


@dataclass(frozen=True, slots=True, order=True)
class Held:
    """One file of a generation: what of it the set holds, and where it belongs."""

    place: str
    name: str
    sha256: str
    size: int

    @property
    def line(self) -> str:
        """How it stands in the list."""
        return f"{self.sha256}\t{self.size}\t{self.place}\t{self.name}\n"

    @classmethod
    def of(cls, line: str) -> "Held":
        """Read a line of the list."""
        sha256, size, place, name = line.rstrip("\n").split("\t", 3)
        return cls(place=place, name=name, sha256=sha256, size=int(size))


class Mismatch(Exception):
    """Bytes that aren't those whose hash was stated."""


@dataclass(frozen=True)
class Generation:
    """One backup in a set; whole once its manifest is there."""

    path: Path

    @property
    def name(self) -> str:
        """When it was begun, in UTC."""
        return self.path.name

    @property
    def dump(self) -> Path:
        """The database, in pg_dump's own format."""
        return self.path / DUMP

    @property
    def is_whole(self) -> bool:
        """Whether everything of it was written."""
        return self.path.suffix == "" and (self.path / MANIFEST).is_file()

    def manifest(self) -> dict[str, Any]:
        """What it holds. Raises BackupDamaged."""
        try:
            found = json.loads((self.path / MANIFEST).read_text())
        except (OSError, ValueError) as error:
            raise BackupDamaged(problems=1, first=self.path / MANIFEST) from error
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise NotABackupSet(place=self.path, reason="it is of another format")
        return found

    def files(self) -> Iterator[Held]:
        """Yield what its list names; raises BackupDamaged."""
        try:
            with (self.path / LIST).open() as lines:
                yield from map(Held.of, lines)
        except (OSError, ValueError) as error:
            raise BackupDamaged(problems=1, first=self.path / LIST) from error

    def problems(self) -> list[str]:
        """Compare dump and list with the hashes in the manifest; name those that differ."""
        manifest = self.manifest()
        stated = {DUMP: manifest["database"]["sha256"], LIST: manifest["files"]["list_sha256"]}
        return [
            f"{self.name}/{name}"
            for name, sha256 in stated.items()
            if hash_of(self.path / name) != sha256
        ]


@dataclass
class BackupSet:
    """The directory that `manage.py backup` writes to."""

    place: Path
    _changed: set[Path] = field(default_factory=set)

    def prepare(self) -> None:
        """Make the directory a set, unless it is one; raises NotABackupSet."""
        if not (self.place / LABEL).exists():
            if self.place.exists() and any(map(_is_foreign, self.place.iterdir())):
                raise NotABackupSet(place=self.place, reason="it holds other files")
            make_private(self.place)
            write_whole(self.place / LABEL, json.dumps({"format": FORMAT}))
        for directory in (self.place / "generations", self.place / "files"):
            make_private(directory)

    def check(self) -> None:
        """Raise NotABackupSet unless it is one."""
        if not (self.place / LABEL).is_file():
            raise NotABackupSet(place=self.place, reason=f"{LABEL} is missing")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep everybody else from writing to it; raises BackupRunning."""
        with (self.place / LABEL).open() as label:
            try:
                fcntl.flock(label, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupRunning(place=self.place) from None
            yield

    def generations(self) -> list[Generation]:
        """The whole ones, oldest first."""
        found = sorted((self.place / "generations").glob("*"))
        return [one for one in map(Generation, found) if one.is_whole]

    def halves(self) -> list[Generation]:
        """What was begun, or being removed, when its process ended."""
        found = sorted((self.place / "generations").glob("*"))
        return [one for one in map(Generation, found) if not one.is_whole]

    def generation(self, wanted: str = "") -> Generation:
        """The one of that name, else the newest; raises NoGeneration."""
        whole = self.generations()
        chosen = [one for one in whole if one.name == wanted] if wanted else whole
        if not chosen:
            names = ", ".join(one.name for one in whole) or "none"
            raise NoGeneration(place=self.place, wanted=wanted or "anything", whole=names)
        return chosen[-1]

    def begin(self, moment: dt.datetime) -> Generation:
        """Make the directory of a new generation, which isn't one before `finish`."""
        name = f"{moment:%Y%m%dT%H%M%S}-{moment.microsecond:06}Z"
        path = self.place / "generations" / f"{name}{UNFINISHED}"
        path.mkdir(mode=0o700)
        return Generation(path)

    def finish(self, begun: Generation, manifest: dict[str, Any]) -> Generation:
        """Have everything on the disk, then write the manifest, then the name."""
        for directory in sorted(self._changed):
            flush(directory)
        for path in (begun.path / DUMP, begun.path / LIST):
            flush(path)
        write_whole(begun.path / MANIFEST, json.dumps({"format": FORMAT, **manifest}, indent=1))
        final = begun.path.with_suffix("")
        begun.path.rename(final)
        flush(final.parent)
        return Generation(final)

    def path_of(self, sha256: str) -> Path:
        """Where the bytes with this hash lie."""
        return self.place / "files" / sha256[:2] / sha256[2:4] / sha256

    def size_of(self, sha256: str) -> int | None:
        """How many bytes are held under a hash, if they are."""
        try:
            return self.path_of(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def take(self, source: Readable, *, expected: str = "") -> tuple[str, int, bool]:
        """Copy a file into the set; return its hash, its size and whether it is new here.

        Hashed while it is copied; raises Mismatch, and keeps nothing then.
        """
        scratch = self.place / "files" / f"new-{uuid.uuid4().hex}"
        try:
            handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            with os.fdopen(handle, "wb") as target:
                sha256, size = copy_hashed(source, target)
                target.flush()
                os.fsync(target.fileno())
            if expected and sha256 != expected:
                raise Mismatch
            is_new = self.size_of(sha256) != size
            if is_new:
                target_path = self.path_of(sha256)
                for directory in reversed(target_path.parents[:2]):
                    directory.mkdir(mode=0o700, exist_ok=True)
                scratch.replace(target_path)
                self._changed.update(target_path.parents[:3])
        finally:
            scratch.unlink(missing_ok=True)
        return sha256, size, is_new

    def prune(self, *, keep: int) -> tuple[int, int]:
        """Remove all but the newest `keep` generations, and files that none names.

        Returns how many generations and files went.
        """
        surplus = self.generations()[:-keep]
        for one in surplus:
            one.path.rename(one.path.with_suffix(REMOVED))
        self.remove_halves()
        return len(surplus), self._remove_unnamed()

    def remove_halves(self) -> None:
        """Remove what killed processes have left; the files that they copied are of use."""
        for half in self.halves():
            shutil.rmtree(half.path)
        for left in (self.place / "files").glob("new-*"):
            left.unlink()

    def _remove_unnamed(self) -> int:
        named = {bytes.fromhex(held.sha256) for one in self.generations() for held in one.files()}
        removed = 0
        for path in (self.place / "files").glob("*/*/*"):
            if bytes.fromhex(path.name) not in named:
                path.unlink()
                removed += 1
        return removed


def _is_foreign(path: Path) -> bool:
    """Whether something shows that a directory is for other things; a new disk isn't empty."""
    return path.name != "lost+found" and not path.name.startswith(".")


def copy_hashed(source: Readable, target: BinaryIO) -> tuple[str, int]:
    """Copy what is left of `source`; return its SHA-256 and its size."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        target.write(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def hash_of(path: Path) -> str:
    """SHA-256 of a file; empty where it can't be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def private_opener(path: str, flags: int) -> int:
    """For `open`: what is written names every image, and is nobody else's."""
    return os.open(path, flags, FILE_MODE)


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that it is there whole or not at all, also after a power cut."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(text + "\n")
    scratch.chmod(FILE_MODE)
    flush(scratch)
    scratch.replace(path)
    flush(path.parent)

"""Programs that another account may run, wherever they are installed, with no door opened to it."""

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from medimaging.quickstart.errors import ProgramsOutOfReach

SHARED_PROGRAMS = Path("/var/cache/medimaging")
"""Copies for the account of PostgreSQL; whoever deletes them gets them again at the next start."""


def runnable(binaries: Path) -> Path:
    """Return `binaries` where everybody may get there, else the same folder of a copy.

    The copy is root's, changed by nobody, and made once. Raises ProgramsOutOfReach.
    """
    if all(place.stat().st_mode & stat.S_IXOTH for place in (binaries, *binaries.parents)):
        return binaries
    package = binaries.parents[1]
    digest = hashlib.sha256((binaries / "postgres").read_bytes()).hexdigest()[:16]
    copy = SHARED_PROGRAMS / f"postgres-{digest}"
    try:
        _make_private_to_root(SHARED_PROGRAMS)
        if not copy.exists():
            _copy(package, copy)
    except OSError as error:
        raise ProgramsOutOfReach(programs=binaries, place=SHARED_PROGRAMS, reason=error) from error
    return copy / binaries.relative_to(package.parent)


def _make_private_to_root(directory: Path) -> None:
    """Make it, and refuse one that anybody but root may write: what lies there will be run."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise PermissionError(f"{directory} is not root's alone")
    directory.chmod(0o755)


def _copy(package: Path, copy: Path) -> None:
    """Copy the server and the libraries that its wheel brings, beside the final place first."""
    unfinished = Path(tempfile.mkdtemp(dir=copy.parent))
    try:
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                ignored = shutil.ignore_patterns("include", "*.a", "*.py", "__pycache__")
                shutil.copytree(part, unfinished / part.name, ignore=ignored)
        for place in (unfinished, *unfinished.rglob("*")):
            is_open = place.is_dir() or place.stat().st_mode & stat.S_IXUSR
            os.chown(place, 0, 0)
            place.chmod(0o755 if is_open else 0o644)
        # Another quickstart may have been faster; its copy is the same.
        with contextlib.suppress(OSError):
            unfinished.rename(copy)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)

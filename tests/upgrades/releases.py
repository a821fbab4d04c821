"""Former releases as they were: their code from the history, run beside ours in one environment."""

import io
import json
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.prerequisites import skip_or_fail
from tests.product import ROOT

HERE = Path(__file__).parent
FIXTURES = HERE / "fixtures"


@dataclass(frozen=True, slots=True)
class Release:
    """A release by its number, such as `0.3`, and the commit that it was made from."""

    number: str
    commit: str

    @property
    def dump(self) -> Path:
        """The rows of an installation of that release, as SQL, gzipped."""
        return FIXTURES / f"{self.number}.sql.gz"

    @property
    def facts(self) -> Path:
        """What that installation said about those rows, as JSON."""
        return FIXTURES / f"{self.number}.json"

    def check_out(self, folder: Path) -> Path:
        """Put its files into `folder`; skips the test where the history isn't there."""
        done = subprocess.run(
            ["git", "archive", "--format=tar", self.commit], cwd=ROOT, capture_output=True
        )
        if done.returncode:
            skip_or_fail(f"release {self.number} ({self.commit}) isn't in this copy's history")
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
        return folder


def _read() -> dict[str, Any]:
    return tomllib.loads((HERE / "releases.toml").read_text(encoding="utf-8"))


def releases() -> list[Release]:
    """All of them, the oldest first."""
    return [Release(**each) for each in _read()["release"]]


def last_migrations() -> dict[str, str]:
    """The last migration of each app that the last release has."""
    found: dict[str, str] = _read()["migrations"]
    return found


def contracts() -> dict[str, str]:
    """What may contract since the last release, each with the reason."""
    found: dict[str, str] = _read().get("contracts", {})
    return found


def read_everything(root: Path, environment: dict[str, str], *only: str) -> dict[str, Any]:
    """What the release in `root` answers about the database of an environment (`reading`)."""
    done = subprocess.run(
        [sys.executable, HERE / "reading.py", *only],
        cwd=root,
        env={**environment, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found

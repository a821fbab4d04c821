"""What `docker compose config` makes of each variant in docs/operators.md is what it says there."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.prerequisites import skip_or_fail
from tests.product import ROOT

PAGE = ROOT / "docs" / "operators.md"
ENDING = {"database-roles", "migrate"}
"""Services that run before the others, and end."""
NEEDED = {
    **dict.fromkeys(("SECRET_KEY", "DIGEST_KEY", "REDIS_PASSWORD"), "s3cret-word"),
    **dict.fromkeys(
        ("POSTGRES_PASSWORD", "POSTGRES_OWNER_PASSWORD", "POSTGRES_APP_PASSWORD"), "s3cret-word"
    ),
    "SITE_ADDRESS": "imaging.hospital.example",
}
OWN = {
    "postgres": ("POSTGRES_PASSWORD", "POSTGRES_OWNER_PASSWORD", "POSTGRES_APP_PASSWORD"),
    "redis": ("REDIS_PASSWORD",),
}
"""What nobody sets whose PostgreSQL or Redis is elsewhere."""


def variants() -> list[Any]:
    """The rows of the table, each with its settings."""
    text = PAGE.read_text("utf-8")
    table = text.partition("| Variant | In `.env` |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    return [
        pytest.param(
            dict(re.findall(r"`(\w+)=([^`]+)`", settings)),
            set(services.split(", ")),
            way_out == "all but proxy",
            id=name,
        )
        for name, settings, services, way_out in rows
    ]


@pytest.fixture(scope="session")
def compose() -> str:
    """Docker Compose 2, which needs no engine to read its files."""
    path = shutil.which("docker-compose")
    if path is None or not _version(path).lstrip("v").startswith("2."):
        skip_or_fail("Docker Compose 2 is not installed")
    return path


def _version(path: str) -> str:
    done = subprocess.run([path, "version", "--short"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def config(compose: str, directory: Path, settings: dict[str, str]) -> dict[str, Any]:
    """What compose makes of our files with these settings in `.env`."""
    file = directory / ".env"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    done = subprocess.run(
        [compose, "--env-file", file, "config", "--format", "json"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_page_describes_variants() -> None:
    assert len(variants()) >= 6


@pytest.mark.parametrize(("settings", "services", "has_way_out"), variants())
def test_variant_is_what_the_page_says(
    compose: str, tmp_path: Path, settings: dict[str, str], services: set[str], has_way_out: bool
) -> None:
    absent = {name for service, names in OWN.items() if service not in services for name in names}
    needed = {name: value for name, value in NEEDED.items() if name not in absent}

    found = config(compose, tmp_path, needed | settings)

    running = set(found["services"]) - ENDING
    assert running == services
    assert found["networks"]["back"]["internal"] is True
    for name in running - {"postgres", "redis"}:
        networks = set(found["services"][name]["networks"])
        assert ("out" in networks) == (has_way_out and name != "proxy"), name
        given = found["services"][name].get("environment", {})
        for setting in settings.keys() & given.keys():
            assert given[setting] == settings[setting], (name, setting)
    for name in settings.keys() - {"COMPOSE_FILE", "COMPOSE_PROFILES"}:
        assert any(name in service.get("environment", {}) for service in found["services"].values())


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "DATABASE_OWNER_URL"])
def test_an_address_in_the_settings_wins_by_itself(compose: str, tmp_path: Path, name: str) -> None:
    address = "scheme://someone:p%23%2F%40ss@elsewhere.hospital.example:7000/it"

    found = config(compose, tmp_path, NEEDED | {name: address})

    given = [
        service["environment"][name]
        for service in found["services"].values()
        if name in service.get("environment", {})
    ]
    assert given
    assert set(given) == {address}


def test_nothing_starts_on_a_machine_without_the_keys(compose: str, tmp_path: Path) -> None:
    for name in ("SECRET_KEY", "DIGEST_KEY", "SITE_ADDRESS"):
        with pytest.raises(AssertionError, match=f"{name} is missing a value: set it in .env"):
            config(compose, tmp_path, {key: value for key, value in NEEDED.items() if key != name})


def test_certificates_for_dicom_are_mounted(compose: str, tmp_path: Path) -> None:
    found = config(compose, tmp_path, NEEDED | {"COMPOSE_PROFILES": "dicom"})

    mounts = found["services"]["dicom"]["volumes"]
    (mount,) = [one for one in mounts if one["target"] == "/dicom-certificates"]
    assert mount["read_only"] is True
    assert Path(mount["source"]).is_dir()

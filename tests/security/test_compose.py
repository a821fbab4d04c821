"""docker-compose.yml: every container is bounded, stripped of rights, and told only its own."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from medimaging.configuration import VARIABLES
from medimaging.configuration.variables import Reader
from records.services import identity
from tests.product import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
NAMED = {name for name, one in VARIABLES.items() if one.reader is not Reader.INTERNAL}

# Capabilities that a container is given back: what its image's own start needs.
GIVEN_BACK = {
    "proxy": {"NET_BIND_SERVICE"},
    "postgres": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"},
}
IMAGE_HOLDERS = {"web", "worker", "worker-gpu", "background", "dicom", "backup", "metrics"}
KEY_HOLDERS = {"web", "background", "migrate"}
# Who may know what. A service that isn't named for a secret doesn't get it.
HOLDERS = {
    "SECRET_KEY": KEY_HOLDERS,
    "SECRET_KEY_FALLBACKS": KEY_HOLDERS,
    "EMAIL_URL": KEY_HOLDERS,
    "DEIDENTIFICATION_KEY": KEY_HOLDERS,
    "DIGEST_KEY": {"web", "worker", "worker-gpu", "background", "dicom", "migrate"},
    "IMAGES_S3_ACCESS_KEY": IMAGE_HOLDERS,
    "IMAGES_S3_SECRET_KEY": IMAGE_HOLDERS,
    "AWS_SECRET_ACCESS_KEY": IMAGE_HOLDERS,
    "AUDIT_SEAL_KEYS": {"web", "worker", "worker-gpu", "background", "dicom", "migrate"},
    "POSTGRES_PASSWORD": {"postgres", "database-roles"},
    "POSTGRES_OWNER_PASSWORD": {"database-roles", "migrate", "backup"},
    "POSTGRES_AUDITOR_PASSWORD": {"database-roles", "migrate", "backup"},
    "REDIS_PASSWORD": {"redis"},
    "DICOM_TLS_KEY": {"dicom"},
}
# Given by the image.
NOT_FOR_OPERATORS = {
    *("COMPOSE_FILE", "MEDIMAGING_DATA_DIR", "STATIC_ROOT", "BEAT_SCHEDULE_FILE", "WEB_BIND"),
    "DEBUG",
}
every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def environment(name: str) -> dict[str, Any]:
    found = SERVICES[name].get("environment", {})
    return found if isinstance(found, dict) else dict(row.partition("=")[::2] for row in found)


@every_service
def test_memory_and_processes_are_bounded(name: str) -> None:
    service = SERVICES[name]

    assert re.fullmatch(r"(\$\{\w+:-)?\d+[mg]\}?", str(service["mem_limit"]))
    assert 0 < int(service["pids_limit"]) <= 2048


@every_service
def test_capabilities_are_dropped_and_none_can_be_gained(name: str) -> None:
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert set(service.get("cap_add", [])) == GIVEN_BACK.get(name, set())
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["read_only"] is True
    assert not service.get("privileged")
    assert not {"pid", "ipc", "network_mode", "userns_mode", "devices"} & service.keys()


@every_service
def test_images_can_be_pinned_by_digest(name: str) -> None:
    service = SERVICES[name]

    if "build" in service:
        assert service["image"].startswith(("medimaging:", "medimaging-gpu:"))
        assert "PYTHON_IMAGE" in service["build"]["args"]
        return
    variable, image = re.fullmatch(r"\$\{(\w+_IMAGE):-(.+)\}", service["image"]).groups()
    assert ":" in image
    assert not image.endswith(":latest")
    assert variable in NAMED


@every_service
def test_no_container_is_handed_the_whole_of_the_settings(name: str) -> None:
    assert "env_file" not in SERVICES[name]


@every_service
def test_secrets_are_only_where_they_are_used(name: str) -> None:
    given = environment(name)

    for secret, holders in HOLDERS.items():
        assert secret not in given or name in holders, secret
        used = {key for key, value in given.items() if f"{{{secret}" in str(value)}
        assert name in holders or used <= {"REDIS_URL"}, secret


@every_service
def test_only_who_asks_the_database_knows_its_password(name: str) -> None:
    if name in ("beat", "proxy", "redis"):
        assert "POSTGRES" not in str(environment(name))


@pytest.mark.parametrize("name", ["dicom", "worker", "worker-gpu"])
def test_what_takes_or_reads_images_cannot_sign_sessions_or_send_mail(name: str) -> None:
    given = environment(name)

    for secret in ("SECRET_KEY", "SECRET_KEY_FALLBACKS", "EMAIL_URL", "DEIDENTIFICATION_KEY"):
        assert secret not in given


@pytest.mark.parametrize("name", sorted(KEY_HOLDERS))
def test_who_signs_mails_and_makes_pseudonyms_has_what_it_takes(name: str) -> None:
    needed = {secret for secret, holders in HOLDERS.items() if holders == KEY_HOLDERS}

    assert len(needed) == 4
    assert needed <= environment(name).keys()


def test_every_variable_of_the_table_reaches_somebody() -> None:
    given = {variable for name in SERVICES for variable in environment(name)}
    for_this_file = set(re.findall(r"\$\{(\w+)", TEXT))

    assert NAMED - NOT_FOR_OPERATORS - given - for_this_file == set()


def test_settings_of_all_are_named_in_order() -> None:
    (block,) = re.findall(r"^x-settings: &settings\n(.*?)\n\n", TEXT, re.MULTILINE | re.DOTALL)
    passed_on = re.findall(r"^  ([A-Z0-9_]+):$", block, re.MULTILINE)

    assert passed_on[1:] == sorted(passed_on[1:])


def test_every_secret_of_the_table_has_its_holders() -> None:
    secrets = {name for name, one in VARIABLES.items() if one.is_secret}
    addresses = {name for name in secrets if name.endswith("_URL")}
    made_into_addresses = {"POSTGRES_APP_PASSWORD"}

    assert secrets - HOLDERS.keys() - (addresses - {"EMAIL_URL"}) == made_into_addresses


def test_every_setting_that_is_handed_over_is_in_the_table() -> None:
    product = set(SERVICES) - {"postgres", "redis", "proxy"}
    given = {variable for name in product for variable in environment(name)}

    known = NAMED | {variable for variable in given if variable.startswith("AWS_")}
    assert given - known == set()


def test_a_process_without_the_key_of_sessions_makes_the_same_digests() -> None:
    code = (
        "import django; django.setup()\n"
        "from django.conf import settings\n"
        "print(settings.DIGEST_KEY, settings.SECRET_KEY == settings.INSECURE_SECRET_KEY)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "SECRET_KEY"}

    def run(**more: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code],
            env=environment | more,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert run(DIGEST_KEY="d" * 50) == f"{'d' * 50} True\n"
    assert run(SECRET_KEY="s" * 50) == f"{'s' * 50} False\n"


def test_stand_ins_for_patients_outlive_a_change_of_the_key_of_sessions(settings) -> None:
    settings.DIGEST_KEY = "d" * 50
    before = identity.stand_in_digest("Geheim|1979-08-02")
    settings.SECRET_KEY = "another key of sessions"

    assert identity.stand_in_digest("Geheim|1979-08-02") == before
    settings.DIGEST_KEY = "e" * 50
    assert identity.stand_in_digest("Geheim|1979-08-02") != before


def test_pinning_writes_the_digest_of_every_image(tmp_path: Path) -> None:
    """With a stand-in for the engine: there is none where tests run."""
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text(
        "#!/bin/sh\n"
        'case "$1" in pull) exit 0;; image) shift 3; '
        f'echo "${{2%%:*}}@sha256:{"a" * 64}";; esac\n'
    )
    docker.chmod(0o755)
    settings = tmp_path / ".env"
    settings.write_text("SECRET_KEY=x\nREDIS_IMAGE=redis@sha256:old\n")
    settings.chmod(0o600)
    command = [str(ROOT / "docker/pin-images"), str(settings)]
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}

    for _ in range(2):
        subprocess.run(command, env=environment, check=True, capture_output=True, cwd=ROOT)

    lines = settings.read_text().splitlines()
    assert "SECRET_KEY=x" in lines
    for service in SERVICES.values():
        if "build" not in service:
            variable, image = re.fullmatch(r"\$\{(\w+):-(.+)\}", service["image"]).groups()
            name = image.partition(":")[0]
            assert lines.count(f"{variable}={name}@sha256:{'a' * 64}") == 1
    assert f"PYTHON_IMAGE=python@sha256:{'a' * 64}" in lines
    assert sum(line.startswith("REDIS_IMAGE=") for line in lines) == 1
    assert settings.stat().st_mode & 0o777 == 0o600

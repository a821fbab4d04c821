"""What `manage.py doctor` says of an installation that is broken, part by part and all at once."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings as django_settings

from medimaging import addresses
from medimaging.configuration import Configuration
from medimaging.doctor import (
    clocks,
    configured,
    database,
    findings,
    installed,
    queue,
)
from medimaging.doctor.examining import Examination, Report, examine_all
from medimaging.doctor.findings import Finding, Level, ok
from medimaging.management.commands.doctor import as_text
from tests.installation import TEST_DATABASE
from tests.platform.examining import codes, somebody_else
from tests.product import ROOT, free_port

pytestmark = pytest.mark.slow

SECRET = "Gehe1mesWort"
PATIENCE_S = 60
"""Twice what the command takes at most: other tests run on the same processors."""


# All at once, as the command that people run.


def broken(port: int, data_dir: Path, **more: str) -> dict[str, str]:
    """An environment in which every service is at a port where nobody is of any help."""
    key = f"{SECRET}-of-another-kind"
    return {
        **os.environ,
        "MEDIMAGING_DATA_DIR": str(data_dir),
        "SECRET_KEY": f"{SECRET}x",
        "DEIDENTIFICATION_KEY": f"{SECRET}y",
        "DATABASE_URL": f"postgres://app:{SECRET}%23@127.0.0.1:{port}/db",
        "DATABASE_OWNER_URL": "",
        "DATABASE_AUDITOR_URL": "",
        "REDIS_URL": f"redis://:{SECRET}@127.0.0.1:{port}/0",
        "EMAIL_URL": f"smtp://somebody:{SECRET}@127.0.0.1:{port}",
        "IMAGES_S3_BUCKET": "images",
        "IMAGES_S3_ENDPOINT": f"http://127.0.0.1:{port}",
        "IMAGES_S3_ACCESS_KEY": key,
        "IMAGES_S3_SECRET_KEY": key,
        "BUNDLE_DIR": str(data_dir / "no-bundles"),
        **more,
    }


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "doctor", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_doctor_names_all_that_is_broken_and_ends_in_time_whatever_says_nothing(
    silent: int, tmp_path: Path
) -> None:
    down = broken(
        free_port(),
        tmp_path,
        WEB_BIND=f"127.0.0.1:{silent}",
        WEB_CONCURENCY="2",
        STATIC_COLLECTED="true",
        DICOM_TLS_CERTIFICATE=str(tmp_path / "missing.pem"),
    )
    file = tmp_path / "file"
    file.write_text(f"BEHIND_TLS=yess\nPOSTGRES_PASSWORT={SECRET}\nEMAIL_URL=smtp://{SECRET}#@x\n")
    running = {
        "down": start(down, "--json"),
        "stalled": start(broken(silent, tmp_path), "--json", "--env-file", str(file)),
    }
    ends = {}
    for name, process in running.items():
        out, err = process.communicate(timeout=PATIENCE_S)
        ends[name] = out
        assert process.returncode == 1, (name, out, err)
        assert "Traceback" not in out + err
        assert SECRET not in out + err, name

    shared = {
        *("database_unreachable", "redis_unreachable", "store_unavailable", "bundles_missing"),
        *("mail_unreachable", "medimaging.E005", "medimaging.E007"),
    }
    found = {
        name: {one["code"] for one in json.loads(ends[name])["findings"] if one["level"] == "error"}
        for name in ("down", "stalled")
    }
    assert found["stalled"] == shared | {"setting_invalid", "setting_unknown"}
    assert found["down"] == shared | {
        *("setting_unknown", "port_taken", "static_missing", "tls_file_unreadable"),
    }


def test_findings_are_told_to_people_with_what_to_do() -> None:
    refused = findings.error("mail_refused", "It is refused.", "Correct it.")
    report = Report({"Mail": [refused]}, is_stuck=False)

    text = as_text(report, Counter({Level.ERROR: 1}))

    assert "Mail\n  error    mail_refused             It is refused.\n" in text
    assert "  Correct it.\n" in text
    assert text.endswith("Errors: 1, warnings: 0.")


def test_examination_that_never_ends_is_left_and_what_it_found_is_kept() -> None:
    ending = threading.Event()

    def stall() -> Iterator[Finding]:
        yield ok("first", "This much was seen.")
        ending.wait(PATIENCE_S)

    def fail() -> Iterator[Finding]:
        raise RuntimeError("nobody foresaw\nthis")
        yield

    began = time.monotonic()
    try:
        report = examine_all(
            [
                Examination("Stalled", stall),
                Examination("Slow", stall, is_slow=True),
                Examination("Failed", fail),
            ],
            deadline_s=0.2,
        )
    finally:
        ending.set()

    assert time.monotonic() - began < 5
    assert report.is_stuck
    assert [one.code for one in report.findings["Stalled"]] == ["first", "no_answer"]
    assert [one.level for one in report.findings["Slow"]] == [Level.OK, Level.WARNING]
    (failed,) = report.findings["Failed"]
    assert failed.code == "not_examined"
    assert failed.message.endswith("(RuntimeError: nobody foresaw).")


def test_secrets_are_cut_from_whatever_is_said() -> None:
    secrets = findings.Secrets(
        Configuration(
            {
                "SECRET_KEY": "the whole key",
                "AUDIT_SEAL_KEYS": ["first seal", "second seal"],
                "DATABASE_URL": "postgres://app:pass%23word@host/db",
                "TIME_ZONE": "UTC",
            }
        )
    )
    said = "the whole key, second seal, pass%23word, pass#word, app, host, UTC"

    assert secrets.cut(said) == "…, …, …, …, app, host, UTC"


# Settings and installation.


def test_keys_are_judged_by_who_needs_them(settings) -> None:
    settings.SECRET_KEY = settings.DIGEST_KEY = settings.INSECURE_SECRET_KEY
    assert "secret_key_missing" in codes(configured.examine, Level.ERROR)

    settings.DIGEST_KEY = "d" * 50
    assert "secret_key_missing" in codes(configured.examine, Level.WARNING)

    settings.SECRET_KEY, settings.DIGEST_KEY = "s" * 50, "short"
    assert "key_short" in codes(configured.examine, Level.WARNING)


def test_one_warning_stands_for_all_that_follows_from_no_tls(settings) -> None:
    settings.BEHIND_TLS = False

    assert codes(configured.examine) == ["medimaging.W001"]


def test_code_copied_under_a_narrow_umask_is_named(settings, open_folder: Path) -> None:
    settings.BASE_DIR = open_folder
    code = open_folder / "records" / "models.py"
    code.parent.mkdir()
    code.touch(0o644)
    with somebody_else():
        assert codes(installed.examine) == []
    code.chmod(0o600)
    with somebody_else():
        (finding,) = [one for one in installed.examine() if one.level is Level.ERROR]

    assert finding.code == "code_unreadable"
    assert str(code) in finding.message
    assert "chmod -R a+rX" in finding.action


def test_umask_that_takes_our_own_rights_is_named() -> None:
    before = os.umask(0o277)
    try:
        assert "umask_unusable" in codes(installed.examine)
        assert os.umask(0o277) == 0o277
    finally:
        os.umask(before)


def test_static_files_are_missed_where_they_should_be_collected(settings, tmp_path: Path) -> None:
    settings.STATIC_COLLECTED, settings.STATIC_ROOT = True, tmp_path
    assert "static_missing" in codes(installed.examine)

    (tmp_path / "staticfiles.json").touch()
    assert "static_missing" not in codes(installed.examine)


# PostgreSQL and Redis.


@pytest.mark.django_db(transaction=True)
def test_database_is_sound_as_the_tests_have_it() -> None:
    assert codes(database.examine) == []
    assert codes(database.examine, Level.OK).count("database_reached") == 3


@pytest.mark.django_db(transaction=True)
def test_database_roles_and_places_that_are_wrong_are_named(settings) -> None:
    place = django_settings.DATA_DIR
    settings.DATABASE_OWNER_URL = addresses.database_url(place, "postgres", role="postgres")
    settings.DATABASE_AUDITOR_URL = settings.DATABASE_URL

    assert codes(database.examine) == ["database_differs", "database_role_powerful"]

    settings.DATABASE_OWNER_URL = settings.DATABASE_URL
    settings.DATABASE_AUDITOR_URL = addresses.database_url(place, TEST_DATABASE, role="nobody")
    assert codes(database.examine) == ["database_not_owned", "database_unreachable"]


@pytest.mark.parametrize("theirs", [90.0, 110.0])
def test_clock_that_is_off_is_told_with_its_side(theirs: float) -> None:
    found = clocks.compare("Redis", before_s=99.9, theirs_s=theirs, after_s=100.1)

    assert found.code == "clock_off"
    assert ("ahead of" if theirs < 100 else "behind") in found.message
    assert "10.0 s" in found.message


def test_clock_is_not_blamed_for_an_answer_that_took_long() -> None:
    assert clocks.compare("x", before_s=100, theirs_s=109.9, after_s=110).code == "clock_right"


@pytest.fixture
def redis_client(embedded_services: None) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        yield client
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")


def test_redis_is_written_and_left_as_it_was(redis_client: redis.Redis) -> None:
    before = set(redis_client.keys("medimaging:doctor:*"))

    assert codes(queue.examine) == []
    assert set(redis_client.keys("medimaging:doctor:*")) == before


def test_redis_that_is_full_or_may_forget_is_named(redis_client: redis.Redis) -> None:
    redis_client.config_set("maxmemory", "1")
    assert codes(queue.examine) == ["redis_refuses"]

    redis_client.config_set("maxmemory", "1gb")
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    assert codes(queue.examine) == ["redis_evicts"]

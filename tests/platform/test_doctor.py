"""What `manage.py doctor` says of an installation that is broken, part by part and all at once."""

import contextlib
import datetime as dt
import json
import os
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings as django_settings

from medimaging import addresses
from medimaging.configuration import Configuration
from medimaging.doctor import (
    certificates,
    clocks,
    configured,
    database,
    findings,
    images,
    installed,
    listening,
    mail,
    models,
    queue,
)
from medimaging.doctor.examining import Examination, Report, examine_all
from medimaging.doctor.findings import Finding, Level, ok
from medimaging.management.commands.doctor import as_text
from tests.conftest import TEST_DATABASE
from tests.product import ROOT, free_port
from tests.records.buckets import KEYS, REGION, s3_service

SECRET = "Gehe1mesWort"
PATIENCE_S = 60
"""Twice what the command takes at most: other tests run on the same processors."""
Examine = Callable[[], Iterator[Finding]]


def codes(examine: Examine, *levels: Level) -> list[str]:
    wanted = levels or (Level.WARNING, Level.ERROR)
    return [one.code for one in examine() if one.level in wanted]


# All at once, as the command that people run.


@pytest.fixture(scope="module")
def silent() -> Iterator[int]:
    """A port that takes every connection and says nothing, as a stalled service does."""
    held = []
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:

        def hold() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])

        threading.Thread(target=hold, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for one in held:
        one.close()


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


@contextlib.contextmanager
def somebody_else() -> Iterator[None]:
    """This process as an account that owns nothing; root alone can be that."""
    if os.geteuid() != 0:
        pytest.skip("it takes root to drop its rights")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A directory that every account can get to."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


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


# Images.


def test_directory_of_images_is_written_and_left_as_it_was(settings, tmp_path: Path) -> None:
    place = tmp_path / "images"
    settings.STORAGES = local_store(place)
    settings.INTAKE_SPOOL_DIR = place / "incoming"
    settings.DATA_DIR = tmp_path
    settings.INTAKE_MIN_FREE_BYTES = 0

    assert codes(images.examine) == ["store_missing"]
    assert not place.exists()

    (place / "incoming").mkdir(parents=True)
    assert codes(images.examine) == []
    assert not [path for path in place.rglob("*") if path.is_file()]

    settings.INTAKE_MIN_FREE_BYTES = 2**60
    assert codes(images.examine) == ["storage_low"]


def test_directory_of_images_of_another_account_is_named(settings, open_folder: Path) -> None:
    settings.STORAGES = local_store(open_folder)
    settings.INTAKE_SPOOL_DIR = settings.DATA_DIR = open_folder
    with somebody_else():
        assert codes(images.examine) == ["store_unavailable", "spool_unusable"]


def local_store(place: Path) -> dict[str, Any]:
    store = {"BACKEND": "records.stores.local.LocalStore", "OPTIONS": {"location": place}}
    return {**django_settings.STORAGES, "images": store}


def test_bucket_is_written_once_or_named_as_missing(settings, tmp_path: Path) -> None:
    settings.INTAKE_SPOOL_DIR = tmp_path / "none"
    with s3_service(tmp_path) as address:
        options = {
            "bucket_name": "images",
            "endpoint_url": address,
            "region_name": REGION,
            "file_overwrite": False,
            **KEYS,
        }
        store = {"BACKEND": "records.stores.s3.S3Store", "OPTIONS": options}
        settings.STORAGES = {**settings.STORAGES, "images": store}
        assert codes(images.examine) == ["bucket_missing"]

        client = images._own_store().connection.meta.client
        client.create_bucket(
            Bucket="images", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        assert codes(images.examine) == []
        assert codes(images.examine, Level.OK) == [
            *("store_reached", "store_works", "store_writes_once"),
        ]
        assert client.list_objects_v2(Bucket="images")["KeyCount"] == 0


# Models.


@pytest.mark.django_db(transaction=True)
def test_models_that_are_damaged_or_signed_by_nobody_are_named(settings, tmp_path: Path) -> None:
    shipped = next(Path(django_settings.BUNDLE_DIR).glob("body-part/*/"))
    copy = tmp_path / "body-part" / shipped.name
    shutil.copytree(shipped, copy)
    settings.BUNDLE_DIR = tmp_path
    unused = ["task_without_model"] * 6
    assert codes(models.examine) == unused

    (copy / "manifest.sig").unlink()
    assert codes(models.examine) == ["bundle_unsigned", *unused]

    (copy / "model_card.md").write_text("something else")
    assert codes(models.examine, Level.ERROR) == ["bundle_refused"]

    settings.BUNDLE_TRUSTED_KEYS = [tmp_path / "no-key.pem"]
    assert codes(models.examine) == ["trusted_keys_invalid"]


# Mail.


class MailServer(socketserver.StreamRequestHandler):
    """Greets, offers what the server is set to, and refuses every sign-in."""

    def handle(self) -> None:
        self.wfile.write(b"220 mail.example ready\r\n")
        with contextlib.suppress(ConnectionError):
            for line in self.rfile:
                word = line.split()[0].upper() if line.split() else b""
                self.wfile.write(self.server.answers.get(word, b"250 ok\r\n"))


@pytest.fixture
def mail_server() -> Iterator[socketserver.ThreadingTCPServer]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), MailServer) as server:
        server.daemon_threads = True
        server.answers = {
            b"EHLO": b"250-mail.example\r\n250 AUTH PLAIN\r\n",
            b"AUTH": b"535 no, " + SECRET.encode() + b" is wrong\r\n",
        }
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_mail_server_is_signed_in_to_and_sent_nothing(settings, mail_server) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.MAIL_ENABLED = True
    settings.EMAIL_HOST, settings.EMAIL_PORT = mail_server.server_address
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "somebody", SECRET
    assert codes(mail.examine) == ["mail_refused"]
    assert SECRET not in str(list(mail.examine()))

    mail_server.answers[b"AUTH"] = b"235 welcome\r\n"
    assert codes(mail.examine) == ["mail_in_the_clear"]

    settings.EMAIL_USE_TLS = True
    assert codes(mail.examine) == ["mail_not_spoken"]

    settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = False, True
    assert codes(mail.examine) == ["mail_not_encrypted"]


def test_mail_that_is_off_or_goes_nowhere_is_said_so(settings) -> None:
    settings.MAIL_ENABLED = False
    assert codes(mail.examine) == []

    settings.MAIL_ENABLED = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    assert codes(mail.examine) == ["mail_not_sent"]


# Certificates and ports.


def make_pair(folder: Path, name: str, *, days: int = 300) -> tuple[str, str]:
    """A certificate that ends in so many days, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(tz=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1000))
        .not_valid_after(now + dt.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    public, private = folder / f"{name}.pem", folder / f"{name}.key"
    public.write_bytes(certificate.public_bytes(pem))
    private.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    private.chmod(0o400)
    return str(public), str(private)


def test_certificates_are_judged_as_the_server_would(settings, open_folder: Path) -> None:
    good, good_key = make_pair(open_folder, "good")
    ended, ended_key = make_pair(open_folder, "ended", days=-1)
    ending, ending_key = make_pair(open_folder, "ending", days=5)

    def found(certificate: str, key: str, authority: str = "") -> list[str]:
        settings.DICOM_TLS_CERTIFICATE, settings.DICOM_TLS_KEY = certificate, key
        settings.DICOM_TLS_CLIENT_CA = authority
        return codes(certificates.examine)

    assert found("", "") == []
    assert found(good, good_key, good) == []
    assert found(good, ended_key) == ["tls_pair_unfit"]
    assert found(ended, ended_key) == ["tls_expired"]
    assert found(ending, ending_key) == ["tls_expires_soon"]
    assert found(good_key, good_key) == ["tls_file_invalid"]
    assert found(good, good_key, str(open_folder / "none.pem")) == ["tls_file_unreadable"]
    Path(good_key).chmod(0o444)
    assert found(good, good_key) == ["tls_key_open"]


def test_key_of_another_account_is_named_with_its_owner(settings, open_folder: Path) -> None:
    settings.DICOM_TLS_CERTIFICATE, settings.DICOM_TLS_KEY = make_pair(open_folder, "other")
    with somebody_else():
        (finding,) = [one for one in certificates.examine() if one.level is Level.ERROR]

    assert finding.code == "tls_file_unreadable"
    assert "it is root's, mode 0400; we are nobody" in finding.message


def test_port_is_free_or_taken_by_another_program(silent: int) -> None:
    port = free_port()

    def found(name: str, port: int, *, is_web: bool) -> str:
        return listening._port(name, "127.0.0.1", port, is_web=is_web).code

    assert found("WEB_BIND", port, is_web=True) == "port_free"
    assert found("WEB_BIND", silent, is_web=True) == "port_taken"
    assert found("DICOM_PORT", silent, is_web=False) == "port_in_use"
    assert listening._port("WEB_BIND", "192.0.2.1", port, is_web=True).code == "port_unusable"


def test_image_makes_a_copy_under_a_narrow_umask_readable(open_folder: Path) -> None:
    """The step of the Dockerfile, on a copy that nobody but its owner may read."""
    (step,) = re.findall(r"^RUN (find \. .*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    file = open_folder / "app" / "records" / "models.py"
    file.parent.mkdir(parents=True)
    file.touch()
    program = open_folder / "app" / "manage.py"
    program.touch()
    for path, mode in ((file, 0o600), (program, 0o700), (file.parent, 0o700)):
        path.chmod(mode)
    file.parent.parent.chmod(0o700)

    subprocess.run(["sh", "-c", step], cwd=open_folder / "app", check=True)

    modes = [path.stat().st_mode & 0o777 for path in (file, program, file.parent, file.parents[1])]
    assert modes == [0o644, 0o755, 0o755, 0o755]

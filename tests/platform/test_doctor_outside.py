"""What the doctor says of images, models, mail, certificates, ports and the image's own modes."""

import contextlib
import datetime as dt
import re
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings as django_settings

from medimaging.doctor import (
    certificates,
    images,
    listening,
    mail,
    models,
)
from medimaging.doctor.findings import Level
from records.files.stores import MARKER
from tests.platform.examining import codes, somebody_else
from tests.product import ROOT, free_port
from tests.records.buckets import REGION, s3_service, store_options

pytestmark = pytest.mark.slow

SECRET = "Gehe1mesWort"


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
    assert codes(images.examine) == ["store_unavailable"]  # a mount point without its volume
    images._own_store().write_marker("ours\n")
    assert codes(images.examine) == []
    assert [path.name for path in place.rglob("*") if path.is_file()] == [MARKER]

    settings.INTAKE_MIN_FREE_BYTES = 2**60
    assert codes(images.examine) == ["storage_low"]


def test_directory_of_images_of_another_account_is_named(settings, open_folder: Path) -> None:
    settings.STORAGES = local_store(open_folder)
    settings.INTAKE_SPOOL_DIR = settings.DATA_DIR = open_folder
    with somebody_else():
        assert codes(images.examine) == ["store_unavailable", "spool_unusable"]


def local_store(place: Path) -> dict[str, Any]:
    store = {"BACKEND": "records.files.stores.local.LocalStore", "OPTIONS": {"location": place}}
    return {**django_settings.STORAGES, "images": store}


def test_bucket_is_written_once_or_named_as_missing(settings, tmp_path: Path) -> None:
    settings.INTAKE_SPOOL_DIR = tmp_path / "none"
    with s3_service(tmp_path) as address:
        options = store_options(address, "images")
        store = {"BACKEND": "records.files.stores.s3.S3Store", "OPTIONS": options}
        settings.STORAGES = {**settings.STORAGES, "images": store}
        assert codes(images.examine) == ["bucket_missing"]

        client = images._own_store().connection.meta.client
        client.create_bucket(
            Bucket="images", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        images._own_store().write_marker("ours\n")
        assert codes(images.examine) == []
        assert codes(images.examine, Level.OK) == [
            *("store_reached", "store_works", "store_writes_once"),
        ]
        assert client.list_objects_v2(Bucket="images")["KeyCount"] == 1


# Models.


@pytest.mark.django_db(transaction=True)
def test_models_that_are_damaged_or_signed_by_nobody_are_named(settings, tmp_path: Path) -> None:
    shipped = next(Path(django_settings.BUNDLE_DIR).glob("body-part/*/"))
    copy = tmp_path / "body-part" / shipped.name
    shutil.copytree(shipped, copy)
    settings.BUNDLE_DIR = tmp_path
    unused = ["task_without_model"] * 7
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

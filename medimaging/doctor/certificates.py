"""The files of DICOM's TLS: there, readable by us and by few others, fitting, and not expired."""

import datetime as dt
import os
import pwd
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from django.conf import settings

from medimaging.doctor.findings import Finding, error, first_line, ok, warning

SOON = dt.timedelta(days=30)
CERTIFICATES = ("DICOM_TLS_CERTIFICATE", "DICOM_TLS_CLIENT_CA", "DICOM_TLS_DESTINATION_CA")


def examine() -> Iterator[Finding]:
    """Look at each file that a setting names."""
    named = {name: getattr(settings, name) for name in (*CERTIFICATES, "DICOM_TLS_KEY")}
    if not any(named.values()):
        yield ok("tls_off", "No certificate is named: DICOM connections aren't encrypted.")
        return
    faults = [fault for name, path in named.items() if path for fault in _file(name, Path(path))]
    yield from faults
    if settings.DICOM_TLS_CERTIFICATE and not any(one.level == "error" for one in faults):
        yield _pair()


def _file(name: str, path: Path) -> Iterator[Finding]:
    try:
        content = path.read_bytes()
    except OSError as failure:
        yield error(
            "tls_file_unreadable",
            f"{name} names {path}, which can't be read: {failure.strerror}{_owner(path)}.",
            f"Mount it, and let user {os.geteuid()} read it (`chown {os.geteuid()}`, mode 0400).",
        )
        return
    if name in CERTIFICATES:
        yield from _certificates(name, path, content)
    if b"PRIVATE KEY" in content and path.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        yield warning(
            "tls_key_open",
            f"Others may read the private key {path}.",
            f"`chmod 0400 {path}`, owned by user {os.geteuid()}.",
        )


def _owner(path: Path) -> str:
    """Whose it is, where that can be told: a file of another account is what is usually wrong."""
    try:
        found = path.stat()
    except OSError:
        return ""
    mode = stat.S_IMODE(found.st_mode)
    return f" (it is {_account(found.st_uid)}'s, mode {mode:04o}; we are {_account(os.geteuid())})"


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _certificates(name: str, path: Path, content: bytes) -> Iterator[Finding]:
    try:
        found = x509.load_pem_x509_certificates(content)
    except ValueError:
        yield error(
            "tls_file_invalid",
            f"{name} names {path}, which holds no certificate in PEM.",
            "Name a file that begins with -----BEGIN CERTIFICATE-----.",
        )
        return
    now = dt.datetime.now(tz=dt.UTC)
    # Of a chain the first is the one that is shown; an authority's list may hold old ones.
    for certificate in found if name == "DICOM_TLS_CERTIFICATE" else found[:1]:
        ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
        if ends < now or begins > now:
            yield error(
                "tls_expired",
                f"The certificate in {path} is valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}.",
                "Renew it, and start again what takes DICOM; or set the clock.",
            )
        elif ends - now < SOON:
            yield warning(
                "tls_expires_soon",
                f"The certificate in {path} ends on {ends:%Y-%m-%d}.",
                "Renew it in time.",
            )
        else:
            yield ok("tls_valid", f"The certificate in {path} is valid until {ends:%Y-%m-%d}.")


def _pair() -> Finding:
    """Load them as the server does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.DICOM_TLS_CERTIFICATE, settings.DICOM_TLS_KEY or None)
    except (ssl.SSLError, OSError) as failure:
        return error(
            "tls_pair_unfit",
            "Certificate and key of DICOM's TLS don't belong together, or one isn't PEM: "
            f"{first_line(failure)}.",
            "Name the key that the certificate was made for, without a passphrase.",
        )
    return ok("tls_pair_fits", "Certificate and key of DICOM's TLS belong together.")

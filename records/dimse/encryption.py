"""TLS on DICOM connections: those that we accept, and those that we open."""

import ssl
from pathlib import Path

from django.conf import settings


def tls_as_listener() -> ssl.SSLContext | None:
    """Return how accepted connections are encrypted, None where no certificate is set.

    Raises OSError, which names the file that can't be read; ssl.SSLError is one.
    """
    if not settings.DICOM_TLS_CERTIFICATE:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _show_certificate(context)
    if settings.DICOM_TLS_CLIENT_CA:
        context.load_verify_locations(_readable(settings.DICOM_TLS_CLIENT_CA))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def tls_as_caller() -> ssl.SSLContext:
    """Return how connections to destinations are encrypted.

    Their certificates have to name the host and be signed by an authority that is trusted: the
    one that is set, else the system's. Our own, if any, is shown to those that ask for it.
    """
    context = ssl.create_default_context(cafile=settings.DICOM_TLS_DESTINATION_CA or None)
    if settings.DICOM_TLS_CERTIFICATE:
        _show_certificate(context)
    return context


def _show_certificate(context: ssl.SSLContext) -> None:
    key = settings.DICOM_TLS_KEY
    context.load_cert_chain(
        _readable(settings.DICOM_TLS_CERTIFICATE), _readable(key) if key else None
    )


def _readable(path: str) -> str:
    """Return the path; OpenSSL wouldn't say which file it could not read."""
    Path(path).open("rb").close()
    return path

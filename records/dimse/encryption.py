"""TLS on DICOM connections: those that we accept, and those that we open."""

import ssl

from django.conf import settings


def tls_as_listener() -> ssl.SSLContext | None:
    """Return how accepted connections are encrypted, None where no certificate is set."""
    if not settings.DICOM_TLS_CERTIFICATE:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _show_certificate(context)
    if settings.DICOM_TLS_CLIENT_CA:
        context.load_verify_locations(settings.DICOM_TLS_CLIENT_CA)
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
    context.load_cert_chain(settings.DICOM_TLS_CERTIFICATE, settings.DICOM_TLS_KEY or None)

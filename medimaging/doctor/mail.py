"""The mail server: connect, greet, encrypt, sign in. Nothing is sent."""

import contextlib
import smtplib
import ssl
from collections.abc import Iterator

from django.conf import settings
from django.core.mail import get_connection
from django.core.mail.backends.smtp import EmailBackend

from medimaging.doctor.findings import Finding, error, first_line, ok, warning

TIMEOUT_S = 6


def examine() -> Iterator[Finding]:
    """Open a session as Django does before it sends, and close it."""
    if not settings.MAIL_ENABLED:
        yield ok("mail_off", "Mail is off: an administrator hands set-password links over.")
        return
    backend = get_connection(timeout=TIMEOUT_S)
    if not isinstance(backend, EmailBackend):
        yield warning(
            "mail_not_sent",
            "EMAIL_URL names no mail server: no mail reaches anybody.",
            "Set EMAIL_URL to smtp+tls://user:password@host:587.",
        )
        return
    yield from _open(backend)


def _open(backend: EmailBackend) -> Iterator[Finding]:
    where = f"{backend.host}, port {backend.port}"
    try:
        with contextlib.closing(backend):
            backend.open()
    except smtplib.SMTPAuthenticationError as failure:
        yield error(
            "mail_refused",
            f"The mail server {where} refuses the sign-in ({failure.smtp_code}).",
            "Correct user name and password in EMAIL_URL.",
        )
    except ssl.SSLError as failure:
        yield error(
            "mail_not_encrypted",
            f"No encrypted connection to the mail server {where}: {failure.reason}.",
            "Use smtp+tls:// for STARTTLS and smtp+ssl:// for TLS from the start; its certificate "
            "has to name the host.",
        )
    except smtplib.SMTPServerDisconnected:
        yield error(
            "mail_unreachable",
            f"Whoever listens at {where} hangs up, or says nothing.",
            "Correct host and port in EMAIL_URL; smtp+ssl:// needs another port than smtp+tls://.",
        )
    except smtplib.SMTPException as failure:
        yield error(
            "mail_not_spoken",
            f"The mail server {where} doesn't do what EMAIL_URL asks for: {first_line(failure)}.",
            "Use the scheme that the server offers: smtp://, smtp+tls:// or smtp+ssl://.",
        )
    except OSError as failure:
        yield error(
            "mail_unreachable",
            f"The mail server {where} can't be reached: {first_line(failure)}.",
            "Correct host and port in EMAIL_URL; a container needs a network that leads there.",
        )
    else:
        yield ok("mail_reached", f"The mail server {where} takes us.")
        if backend.username and not (backend.use_tls or backend.use_ssl):
            yield warning(
                "mail_in_the_clear",
                "The password for the mail server crosses the network in the clear.",
                "Use smtp+tls:// or smtp+ssl:// in EMAIL_URL.",
            )

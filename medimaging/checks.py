"""System checks: what would make this installation fail or leak later."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.apps.config import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError
from django.urls import get_resolver

from accounts.actions import registry
from accounts.reads import forgotten_reads
from medimaging.database_roles import find_faults

LEAST_KEY_LETTERS = 32


@register(Tags.files)
def check_data_dir(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Images, keys and logs go to the data directory."""
    place = settings.DATA_DIR
    while not place.exists():
        place = place.parent
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"The data directory {settings.DATA_DIR} can't be written.",
            hint="Set MEDIMAGING_DATA_DIR to a directory that this user may write.",
            id="medimaging.E001",
        )
    ]


@register(Tags.security, deploy=True)
def check_secret_key(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The key in the source, or a short one, signs sessions that anyone could forge."""
    if settings.SECRET_KEY != settings.INSECURE_SECRET_KEY:
        if len(settings.SECRET_KEY) >= LEAST_KEY_LETTERS:
            return []
        return [
            Error(
                f"SECRET_KEY has fewer than {LEAST_KEY_LETTERS} characters.",
                hint="Set it to 50 random characters, and the former to SECRET_KEY_FALLBACKS.",
                id="medimaging.E007",
            )
        ]
    return [
        Error(
            "SECRET_KEY is not set.", hint="Set it to 50 random characters.", id="medimaging.E002"
        )
    ]


@register(Tags.security, deploy=True)
def check_transport(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Patients' images must not cross a network in the clear."""
    if settings.BEHIND_TLS:
        return []
    return [
        Warning(
            "BEHIND_TLS is off: cookies and images travel unencrypted.",
            hint="Serve over https and set BEHIND_TLS=true.",
            id="medimaging.W001",
        )
    ]


@register(Tags.security, deploy=True)
def check_database_role(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """A role that owns the tables could rewrite the audit trail, and a superuser run programs.

    Asked of the database itself; one that can't be reached is somebody else's finding.
    """
    try:
        faults = find_faults()
    except DatabaseError:
        return []
    return [
        Error(
            f"The database role of the application has too many rights: {fault}.",
            hint="Run `manage.py prepare_database` once, and set DATABASE_OWNER_URL for `migrate`.",
            id="medimaging.E004",
        )
        for fault in faults
    ]


@register(Tags.security, deploy=True)
def check_site_url(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Mail leads to an address of ours, and no request may choose which."""
    if settings.IS_SITE_URL_SET or not settings.MAIL_ENABLED:
        return []
    return [
        Error(
            "EMAIL_URL is set, and SITE_URL isn't: links in mail would lead nowhere.",
            hint="Set SITE_URL to the address of the product, https://imaging.hospital.example.",
            id="medimaging.E005",
        )
    ]


@register(Tags.files)
def check_spool(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A file is published by a rename, which works within one file system alone."""
    location = settings.STORAGES["images"]["OPTIONS"].get("location")
    is_local = isinstance(location, Path)
    if not is_local or _device(location) == _device(settings.INTAKE_SPOOL_DIR):
        return []
    return [
        Error(
            f"The spool {settings.INTAKE_SPOOL_DIR} and the store {location} are on two disks.",
            hint="Set INTAKE_SPOOL_DIR to a directory on the disk of the data directory.",
            id="medimaging.E003",
        )
    ]


@register(Tags.urls)
def check_reads(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A view that doesn't say what it shows of patients could show it without a trace."""
    return [
        Error(
            f"{forgotten} doesn't declare what it shows of patients.",
            hint="Name `reads` beside its `verb`: see accounts/reads.py.",
            id="medimaging.E006",
        )
        for forgotten in forgotten_reads(get_resolver().url_patterns)
    ]


@register
def check_actions(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """An event of an action that nobody registered has no sentence, and no filter finds it."""
    return [
        Error(
            f"{forgotten} isn't registered with the audit trail.",
            hint="Register it with its sentences in the app's `ready`: see accounts/actions.py.",
            id="medimaging.E008",
        )
        for forgotten in registry.find_unregistered()
    ]


def _device(path: Path) -> int:
    while not path.exists():
        path = path.parent
    return path.stat().st_dev

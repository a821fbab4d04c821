"""What was installed, as this account sees it, and the parts of the product that run."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from medimaging.configuration import ENV_FILE
from medimaging.doctor.findings import Finding, Level, error, ok, warning
from medimaging.health import State, parts
from medimaging.health import probes as probes  # noqa: PLC0414 - registers them

PACKAGES = ("accounts", "classifier", "medimaging", "ml", "records", "templates")
PARTS_DEADLINE_S = 5.0
ASKED_IN_DETAIL = frozenset({"database", "redis", "room"})
"""Parts that have an examination of their own."""
LEVELS = {
    State.OK: Level.OK,
    State.DEGRADED: Level.WARNING,
    State.UNKNOWN: Level.WARNING,
    State.DOWN: Level.ERROR,
}


def examine() -> Iterator[Finding]:
    """Look at the code, the static files, the modes of what is secret, and the umask."""
    yield _code()
    yield from _static()
    if ENV_FILE.exists() and ENV_FILE.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        yield warning(
            "env_file_open",
            f"Others may read {ENV_FILE}, which holds passwords.",
            f"`chmod 600 {ENV_FILE}`.",
        )
    umask = os.umask(0o077)
    os.umask(umask)
    if umask & stat.S_IRWXU:
        yield error(
            "umask_unusable",
            f"The umask is {umask:04o}: we couldn't read what we write.",
            "Start the product with umask 0077 or 0022.",
        )
    else:
        yield ok("umask", f"The umask is {umask:04o}.")


def examine_parts() -> Iterator[Finding]:
    """What /statusz tells, but for what is examined in detail."""
    for part in parts(deadline_s=PARTS_DEADLINE_S):
        if part.name not in ASKED_IN_DETAIL:
            yield Finding(LEVELS[part.state], part.code, part.message, part.action)


def _code() -> Finding:
    unreadable = [
        path
        for package in PACKAGES
        for path in _below(settings.BASE_DIR / package)
        if not _may_use(path)
    ]
    if not unreadable:
        return ok("code_readable", "All code, templates and models can be read.")
    return error(
        "code_unreadable",
        f"User {os.geteuid()} can't read {unreadable[0]}, and {len(unreadable) - 1} others.",
        f"The copy was made under a narrow umask: `chmod -R a+rX {settings.BASE_DIR}`.",
    )


def _may_use(path: Path) -> bool:
    """Tell whether we may read a file, or list a directory and get to what is in it."""
    wanted = os.R_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, wanted, effective_ids=True)


def _below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield Path(parent)
        yield from (Path(parent, name) for name in names)


def _static() -> Iterator[Finding]:
    if not settings.STATIC_COLLECTED:
        if settings.BEHIND_TLS:
            yield warning(
                "static_not_collected",
                "Static files are searched for at every start, and not cached by browsers.",
                "Run `manage.py collectstatic`, and set STATIC_COLLECTED=true.",
            )
    elif (Path(settings.STATIC_ROOT or "") / "staticfiles.json").is_file():
        yield ok("static_collected", "Static files are collected.")
    else:
        yield error(
            "static_missing",
            f"STATIC_COLLECTED is true, and {settings.STATIC_ROOT} has no collected files: "
            "every page would fail.",
            "Run `manage.py collectstatic`.",
        )

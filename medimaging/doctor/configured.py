"""The settings themselves, and what Django's system checks say of them."""

from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.checks import ERROR, CheckMessage
from django.core.checks.registry import registry

from medimaging.checks import LEAST_KEY_LETTERS, check_database_role
from medimaging.configuration import VARIABLES, load, read
from medimaging.doctor.findings import Finding, Level, error, ok, warning
from medimaging.quickstart.stack import KEY_FILE

NEW_KEY = 'Make one: python3 -c "import secrets; print(secrets.token_urlsafe(50))".'
TOLD_BY_KEYS = {"medimaging.E002", "security.W009"}
TOLD_BY_TRANSPORT = {f"security.W{number:03}" for number in (4, 8, 10, 12, 16)}
"""What follows from BEHIND_TLS alone, which medimaging.W001 is about."""


def examine() -> Iterator[Finding]:
    """Name settings that nothing reads, keys that are weak, and what the checks find."""
    unknown = load().unknown
    for fault in unknown:
        yield error(fault.code, fault.message, "Correct the name, or remove it.")
    if not unknown:
        yield ok("settings_read", f"All {len(VARIABLES)} settings can be read.")
    yield from _keys()
    yield from _checks()


def examine_file(path: Path) -> Iterator[Finding]:
    """Judge a `.env` that other processes are started with, and that this one isn't."""
    if not path.exists():
        yield error("env_file_invalid", f"{path} isn't there.", "Name the file that you use.")
        return
    found, _ = read({}, path)
    for fault in (*found.faults, *found.unknown):
        yield error(fault.code, fault.message, "Correct it in the file, and start again.")
    if not (found.faults or found.unknown):
        yield ok("env_file_read", "Every line of the file is understood.")


def _keys() -> Iterator[Finding]:
    if (settings.DATA_DIR / KEY_FILE).is_file() and not load().text("SECRET_KEY"):
        yield ok("secret_key_kept", "The quickstart keeps a SECRET_KEY of its own.")
    elif settings.SECRET_KEY == settings.INSECURE_SECRET_KEY:
        if settings.DIGEST_KEY == settings.INSECURE_SECRET_KEY:
            yield error("secret_key_missing", "SECRET_KEY isn't set.", NEW_KEY)
        else:
            yield warning(
                "secret_key_missing",
                "SECRET_KEY isn't set: right for what takes or classifies images or keeps the "
                "clock, wrong for web and background.",
                NEW_KEY,
            )
    for name in ("DIGEST_KEY", "DEIDENTIFICATION_KEY"):
        key = getattr(settings, name)
        if key and len(key) < LEAST_KEY_LETTERS and key != settings.SECRET_KEY:
            yield warning(
                "key_short",
                f"{name} has fewer than {LEAST_KEY_LETTERS} characters.",
                "It can be guessed. Changing it breaks what was made with it: see operators.md.",
            )


def _checks() -> Iterator[Finding]:
    """Django's own and ours, those for a deployment too, but for what asks the database."""
    told = TOLD_BY_KEYS | (set() if settings.BEHIND_TLS else TOLD_BY_TRANSPORT)
    found = [
        message
        for check in registry.get_checks(include_deployment_checks=True)
        if check is not check_database_role
        for message in check(app_configs=None, databases=None)
        if message.id not in told
    ]
    yield from map(of_check, found)
    if not found:
        yield ok("checks_passed", "The system checks find nothing.")


def of_check(message: CheckMessage) -> Finding:
    """What a system check says, as a finding."""
    level = Level.ERROR if message.level >= ERROR else Level.WARNING
    return Finding(level, str(message.id), str(message.msg), str(message.hint or ""))

"""What a first run shows: departments, one account per role, and a few studies to look at."""

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction
from django.db.models import F

from accounts.models import Department, User
from accounts.roles import DEPARTMENT_ROLES, Role
from accounts.services.departments import create_department
from accounts.services.passwords import set_password
from accounts.services.people import invite_user
from classifier.choices import SourceKind
from classifier.models import ModelVersion, SourceValidation
from classifier.services.sources import state_validation
from records.choices import Origin, Priority
from records.dicom.reading.declared import DeclaredFields
from records.services.submissions import submit_study

DEPARTMENTS = ("Radiology", "Dermatology", "Ophthalmology")
DOMAIN = "demo.invalid"
SAMPLES_INSTITUTION = "Sample images"
"""Institution Name (0008,0080) of the sample studies."""
# The account that the sample studies are submitted by.
SUBMITTER = Role.TECHNICIAN


@dataclass(frozen=True)
class DemoAccounts:
    """The file with the sign-ins, and whether this run has made it."""

    file: Path
    are_new: bool


def make_accounts(data_dir: Path) -> DemoAccounts:
    """On an installation without people, open one account per role; else change nothing.

    The passwords are random, shown once and kept in a file that only its owner can read.
    """
    path = data_dir / "demo-accounts.txt"
    if User.objects.exists():
        return DemoAccounts(file=path, are_new=False)
    # The passwords are on disk before the accounts are: a run that is killed locks nobody out.
    with transaction.atomic():
        departments = [create_department(actor=None, name=name) for name in DEPARTMENTS]
        lines = [_open_account(role, departments) for role in Role]
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(lines) + "\n")
    return DemoAccounts(file=path, are_new=True)


def describe_accounts() -> str:
    """The demo accounts that can still sign in, in the form of the DEMO_ACCOUNTS setting."""
    people = User.objects.filter(email__endswith=f"@{DOMAIN}", is_active=True)
    labels = {_username(role): role.label for role in Role}
    return ",".join(f"{person.username}:{labels[person.username]}" for person in people)


def _username(role: Role) -> str:
    return role.value.replace("_", "-")


def _open_account(role: Role, departments: list[Department]) -> str:
    """Make the account of `role`, and return the line to keep about it."""
    password = secrets.token_urlsafe(12)
    where = departments if role in DEPARTMENT_ROLES else [None]
    user, _ = invite_user(
        actor=None,
        username=_username(role),
        full_name=f"Demo {role.label.lower()}",
        email=f"{_username(role)}@{DOMAIN}",
        memberships=[(role, department) for department in where],
    )
    set_password(actor=None, user=user, password=password)
    return f"{user.username:<16} {password}"


def state_sample_source() -> None:
    """Let models that are for their own source only answer the samples.

    Each version once: what an administrator has withdrawn stays withdrawn. Images of any other
    source get no label until somebody states where else the model was validated.
    """
    administrator = User.objects.filter(
        username=_username(Role.ADMINISTRATOR), email__endswith=f"@{DOMAIN}"
    ).first()
    if administrator is None:
        return
    live = ModelVersion.objects.with_live().filter(live_id=F("pk"))
    for version in [one for one in live if one.is_own_source_only]:
        known = SourceValidation.objects.filter(
            model_version=version, kind=SourceKind.INSTITUTION, value=SAMPLES_INSTITUTION
        )
        if not known.exists():
            state_validation(
                actor=administrator,
                version=version,
                kind=SourceKind.INSTITUTION,
                value=SAMPLES_INSTITUTION,
                figures="None were measured: the sample studies of the demo alone are meant.",
                reason="Sample studies: images of the sets of the models, and drawings.",
            )


def submit_samples(
    samples_dir: Path, *, accounts: DemoAccounts, report: Callable[[str], None]
) -> None:
    """Once per installation, send the sample studies through the door that a technician uses.

    A sample is a folder with the files of one study and a `study.json`: the department's
    name, the priority, and the fields that the sender states. A run that is killed half way
    is made good by the next one: what was stored is recognised and not stored twice.
    """
    done = accounts.file.with_name("samples-submitted")
    if done.exists() or not accounts.file.exists():
        return
    actor = User.objects.get(username=_username(SUBMITTER))
    for description in sorted(samples_dir.glob("*/study.json")):
        report(f"Submitting sample study {description.parent.name}")
        _submit(actor, description)
    done.touch()


def _submit(actor: User, description: Path) -> None:
    stated = json.loads(description.read_text(encoding="utf-8"))
    submit_study(
        actor=actor,
        department=Department.objects.get(name=stated["department"]),
        files=sorted(path for path in description.parent.iterdir() if path != description),
        declared=DeclaredFields.from_json(stated["declared"]),
        priority=Priority(stated["priority"]),
        origin=Origin.SAMPLE,
    )

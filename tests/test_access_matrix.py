"""Every address × every role × one's own and another department, from the URL map itself.

The table in access_rules.py says who may use an address; the URL map says which addresses there
are. One that is missing from the table fails the first test, so nothing is added unguarded.
"""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from accounts.models import AuditEvent, Department, Membership, RoleProposal, User
from accounts.roles import DEPARTMENT_ROLES, ROLE_VERBS, Role, Verb
from accounts.services import issue_token
from accounts.services.sessions import open_session
from classifier.models import Classification, Explanation, Review, SourceValidation
from records.choices import Origin
from records.dicom.deidentification import Options
from records.models import (
    DepartmentRule,
    DicomNode,
    Export,
    ExportHold,
    ExportHoldSight,
    IdentityConflict,
    Instance,
    LegalHold,
    QuarantinedFile,
    Study,
    Upload,
)
from records.services import delete_study, hold_study, lift_hold, open_submission, request_export
from tests import factories
from tests.access_rules import PUBLIC, RULES, SIGNED_IN, Rule

IMAGE = next(Path("samples").glob("chest-*/*.dcm")).read_bytes()


@dataclass(frozen=True)
class World:
    """A department with one of everything, and a person who belongs to it."""

    department: Department
    user: User
    study: Study
    deleted_study: Study
    hold: LegalHold
    instance: Instance
    classification: Classification
    submission_id: Any
    upload_id: Any
    export_id: Any
    export_hold_id: Any
    token_id: Any
    session_id: Any
    quarantined: QuarantinedFile
    node: DicomNode
    proposal: RoleProposal


Target = Callable[[World], dict[str, Any]]


def dicomweb_series(world: World) -> dict[str, Any]:
    series = world.instance.series
    return {
        "study_uid": series.study.study_instance_uid,
        "series_uid": series.series_instance_uid,
    }


def dicomweb_instance(world: World) -> dict[str, Any]:
    return {**dicomweb_series(world), "instance_uid": world.instance.sop_instance_uid}


def rule_of(world: World) -> DepartmentRule:
    """The rule of a world's department, made when it is first asked for."""
    found = DepartmentRule.objects.filter(department=world.department).first()
    return found or factories.make_rule(department=world.department)


def statement_of(world: World) -> SourceValidation:
    """A statement about the world's department and model, made when it is first asked for."""
    version = world.classification.model_version
    found = SourceValidation.objects.filter(department=world.department, model_version=version)
    return found.first() or factories.make_source_validation(
        version=version, department=world.department
    )


TARGETS: dict[str, Target] = {
    "study": lambda world: {"pk": world.study.pk},
    "movable study": lambda world: {"pk": world.study.pk},
    "rule": lambda world: {"pk": rule_of(world).pk},
    "deleted study": lambda world: {"pk": world.deleted_study.pk},
    "hold": lambda world: {"pk": world.hold.pk},
    "patient": lambda world: {"pk": world.study.patient_id},
    "instance": lambda world: {"pk": world.instance.pk},
    "frame": lambda world: {"pk": world.instance.pk, "frame": 1},
    "dicomweb-study": lambda world: {"study_uid": world.study.study_instance_uid},
    "dicomweb-any-study": lambda world: {"study_uid": "1.2.3"},
    "dicomweb-series": dicomweb_series,
    "dicomweb-instance": dicomweb_instance,
    "dicomweb-frames": lambda world: {**dicomweb_instance(world), "frames": "1"},
    "dicomweb-bulkdata": lambda world: {**dicomweb_instance(world), "path": "7FE00010"},
    "classification": lambda world: {"pk": world.classification.pk},
    "overlay": lambda world: {
        "pk": world.classification.pk,
        "instance_pk": world.instance.pk,
        "frame": 1,
    },
    "submission": lambda world: {"pk": world.submission_id},
    "in submission": lambda world: {"submission_pk": world.submission_id},
    "upload": lambda world: {"submission_pk": world.submission_id, "pk": world.upload_id},
    "export": lambda world: {"pk": world.export_id},
    "export hold": lambda world: {"pk": world.export_id, "hold_pk": world.export_hold_id},
    "token": lambda world: {"pk": world.token_id},
    "session": lambda world: {"pk": world.session_id},
    "node": lambda world: {"pk": world.node.pk},
    "user": lambda world: {"pk": world.user.pk},
    "department": lambda world: {"pk": world.department.pk},
    "model": lambda world: {"pk": world.classification.model_version_id},
    "source validation": lambda world: {"pk": statement_of(world).pk},
    "task": lambda world: {"task": "chest-xray"},
    "conflict": lambda world: {"pk": world.quarantined.conflict_id},
    "conflict file": lambda world: {
        "pk": world.quarantined.conflict_id,
        "file_pk": world.quarantined.pk,
    },
    "quarantined bytes": lambda world: {"pk": world.quarantined.pk},
    "department node": lambda world: {"pk": world.node.pk},
    "proposal": lambda world: {"pk": world.proposal.pk},
    "quarantined": lambda world: {"pk": world.quarantined.pk},
    "event": lambda world: {"event_id": AuditEvent.objects.all()[0].event_id},
}
WITHIN_A_DEPARTMENT = {
    "study",
    "deleted study",
    "patient",
    "instance",
    "frame",
    "classification",
    "overlay",
    "submission",
    "conflict",
    "conflict file",
    "dicomweb-study",
    "dicomweb-series",
    "dicomweb-instance",
    "dicomweb-frames",
    "dicomweb-bulkdata",
    "in submission",
    "upload",
    "export",
    "export hold",
    "quarantined bytes",
    "department node",
}
ABOUT_A_STUDY = WITHIN_A_DEPARTMENT - {
    "deleted study",
    "submission",
    "in submission",
    "upload",
    "department node",
}

REFUSALS = {401, 403, 404, 405}


def url_names(patterns: list[Any], namespaces: tuple[str, ...] = ()) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = (pattern.namespace,) if pattern.namespace else ()
            yield from url_names(pattern.url_patterns, namespaces + inner)
        elif isinstance(pattern, URLPattern):
            yield ":".join((*namespaces, pattern.name or f"unnamed {pattern.pattern}"))


def may(role: Role, who: str | Verb) -> bool:
    return who in {PUBLIC, SIGNED_IN} or who in ROLE_VERBS[role]


@contextlib.contextmanager
def acting_as(role: Role, world: World, client: Client) -> Iterator[None]:
    """Let the world's person hold `role` alone and sign in; whatever they do is undone."""
    with transaction.atomic():
        Membership.objects.filter(user=world.user).delete()
        where = world.department if role in DEPARTMENT_ROLES else None
        Membership.objects.create(user=world.user, role=role, department=where)
        client.force_login(User.objects.get(pk=world.user.pk))
        yield
        transaction.set_rollback(True)


@pytest.fixture
def make_world(db: None) -> Callable[..., World]:
    def make(*roles: Role) -> World:
        department = factories.make_department()
        user = factories.make_user(*(roles or (Role.TECHNICIAN,)), department=department)
        sender = factories.make_user(Role.TECHNICIAN, department=department)
        study = factories.make_study(department=department, content=IMAGE)
        deleted = factories.make_study(department=department)
        delete_study(actor=None, study=deleted, reason="Sent by mistake")
        (hold,) = hold_study(actor=None, given=study.study_instance_uid, reason="Case 4")
        instance = study.series.get().instances.get()
        version = factories.make_model_version()
        row = Classification.objects.create(
            study=study,
            task="chest-xray",
            state="awaiting_review",
            finished_at="2026-01-01T00:00:00Z",
            model_version=version,
            model_digest=version.digest,
            outcome="finding",
            label="pneumonia",
            probabilities={"normal": 0.1, "pneumonia": 0.9},
        )
        Explanation.objects.create(
            classification=row, instance=instance, activation_maps={"pneumonia": [[0.0, 1.0]]}
        )
        submission = open_submission(actor=sender, department=department, origin=Origin.WEB)
        upload = Upload.objects.create(
            submission=submission,
            created_by=user,
            name="ct.dcm",
            size_bytes=10,
            expires_at=timezone.now() + dt.timedelta(hours=1),
        )
        token, _ = issue_token(actor=user, user=user, name="own", days=1)
        export = request_export(
            actor=factories.make_user(Role.REVIEWER, department=department),
            studies=[study],
            project="matrix",
            purpose="test",
            options=Options(),
        )
        quarantined = factories.make_quarantined(study=study, submission=submission)
        return World(
            department=department,
            user=user,
            study=study,
            deleted_study=deleted,
            hold=hold,
            instance=instance,
            classification=row,
            submission_id=submission.pk,
            upload_id=upload.pk,
            export_id=export.pk,
            export_hold_id=ExportHold.objects.create(
                export=export, instance=instance, cause="text"
            ).pk,
            token_id=token.pk,
            session_id=open_session(actor=user, session_key=f"matrix-{user.pk}").pk,
            quarantined=quarantined,
            node=factories.make_node(department=department, waiting_since=timezone.now()),
            proposal=factories.make_proposal(department=department),
        )

    return make


def ask(client: Client, rule: Rule, world: World) -> HttpResponse:
    name, method, _, target = rule
    address = reverse(name, kwargs=TARGETS[target](world) if target else {})
    return getattr(client, method)(address)


def rule_id(rule: Rule) -> str:
    return f"{rule[1]} {rule[0]}"


def test_every_address_is_in_the_table():
    assert set(url_names(get_resolver().url_patterns)) == {name for name, *_ in RULES}


@pytest.mark.parametrize("rule", RULES, ids=rule_id)
def test_nobody_gets_in_without_signing_in(make_world, client, rule):
    response = ask(client, rule, make_world())
    if rule[2] == PUBLIC:
        assert response.status_code not in REFUSALS
    elif rule[0].startswith("api-") and rule[0] != "api-docs":
        assert response.status_code == 401
        assert response["WWW-Authenticate"]
    else:
        assert response.status_code == 302
        assert response["Location"].startswith(reverse("accounts:sign-in"))


@pytest.mark.parametrize("rule", RULES, ids=rule_id)
def test_role_decides_the_verb_in_one_s_own_department(make_world, client, rule):
    world = make_world()
    for role in Role:
        with acting_as(role, world, client):
            response = ask(client, rule, world)
        status = response.status_code
        if may(role, rule[2]):
            assert status not in REFUSALS, role
            assert not response.headers.get("Location", "").startswith("/sign-in/?next"), role
            assert status < 500, role
        else:
            assert status == 403, role


@pytest.mark.parametrize(
    "rule",
    [rule for rule in RULES if rule[3] in WITHIN_A_DEPARTMENT | {"token", "session"}],
    ids=rule_id,
)
def test_other_departments_are_out_of_sight(make_world, client, rule):
    other, own = make_world(), make_world()
    for role in Role:
        with acting_as(role, own, client):
            status = ask(client, rule, other).status_code
        if rule[0] == "accounts:token-revoke" and role == Role.ADMINISTRATOR:
            assert status not in REFUSALS
        else:
            assert status == (404 if may(role, rule[2]) else 403), role


def delete_all_of(world: World) -> None:
    """Delete the study that everything in a world is about."""
    lift_hold(actor=None, hold=world.hold, reason="The case is over")
    delete_study(actor=None, study=world.study, reason="Sent by mistake")


def state_of(world: World) -> list[Any]:
    """What nobody may change by asking about a deleted study."""
    tables = (Classification, Review, Export, ExportHold, IdentityConflict, QuarantinedFile, Study)
    rows = [list(table.objects.order_by("pk").values()) for table in tables]
    return [*rows, ExportHoldSight.objects.count(), Instance.with_withheld.count()]


@pytest.mark.parametrize(
    "rule",
    [rule for rule in RULES if rule[3] in ABOUT_A_STUDY | {"quarantined"}],
    ids=rule_id,
)
def test_deleted_study_is_gone_at_every_address(make_world, client, rule):
    world = make_world()
    delete_all_of(world)
    before = state_of(world)
    name, own, who, target = rule

    for role in Role:
        client.force_login(factories.make_user(role, department=world.department))
        status = ask(client, rule, world).status_code
        assert status == (404 if may(role, who) else 403), role
        for method in {"get", "head", "post"} - {own}:
            status = ask(client, (name, method, who, target), world).status_code
            # 415: what is sent to the address of a study is looked at before its UID.
            assert status in {403, 404, 405, 415}, (role, method)

    assert state_of(world) == before


@pytest.mark.parametrize(
    "rule",
    [rule for rule in RULES if rule[0].endswith("-list") and rule[1] == "get" and not rule[3]],
    ids=rule_id,
)
def test_lists_hold_nothing_of_a_deleted_study(make_world, client, rule):
    name, _, who, _ = rule
    world = make_world()
    delete_all_of(world)
    shown_on_purpose = {"deleted-study", "audit"}

    for role in Role:
        if not may(role, who) or any(part in name for part in shown_on_purpose):
            continue
        client.force_login(factories.make_user(role, department=world.department))
        text = client.get(reverse(name)).content.decode()
        assert world.study.patient.display_name not in text
        assert world.study.patient.name not in text
        for pk in (world.study.pk, world.export_id, world.quarantined.conflict_id):
            assert str(pk) not in text


@pytest.mark.parametrize(
    "name",
    [
        "records:study-list",
        "records:deleted-study-list",
        "records:patient-list",
        "classifier:worklist",
        "home",
    ],
)
def test_lists_hold_nothing_of_other_departments(make_world, client, name):
    other, own = make_world(), make_world()
    for role in Role:
        with acting_as(role, own, client):
            page = client.get(reverse(name)).content.decode()
        for study in (other.study, other.deleted_study):
            assert study.patient.display_name not in page, role
            assert str(study.pk) not in page, role

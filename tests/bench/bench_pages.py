"""How long the server takes for each page with 10,000 studies: `make bench-pages` prints a table.

Runs on a database of its own, through Django's test client: routing, middleware, access check,
queries, audit event and template are all in the time; the network is not.
"""

import statistics
import time
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, Department, User
from accounts.roles import Role
from classifier.models import Classification
from records.choices import StudyState
from records.models import Instance, Patient, Series, Study
from tests import factories

STUDIES = 10_000
ROUNDS = 9
STATES = ("awaiting_review", "abstained", "failed", "confirmed", "overridden")


@pytest.mark.bench
@pytest.mark.timeout(600)
@pytest.mark.django_db
def test_print_server_time_per_page(capsys: pytest.CaptureFixture[str]) -> None:
    department = factories.make_department("Radiology")
    users = {
        role: factories.make_user(role, department=department)
        for role in (Role.REVIEWER, Role.TECHNICIAN, Role.AUDITOR, Role.ADMINISTRATOR)
    }
    fill(department, users[Role.TECHNICIAN])
    study = Study.objects.order_by("pk")[STUDIES // 2]
    row = study.classifications.get()
    pages: list[tuple[Role, str, str, dict[str, Any]]] = [
        (Role.REVIEWER, "home", reverse("home"), {}),
        (Role.REVIEWER, "worklist", reverse("classifier:worklist"), {}),
        (Role.REVIEWER, "worklist, searched", reverse("classifier:worklist"), {"q": "patient 77"}),
        (Role.REVIEWER, "studies", reverse("records:study-list"), {}),
        (Role.REVIEWER, "studies, searched", reverse("records:study-list"), {"q": "patient 77"}),
        (Role.REVIEWER, "patients", reverse("records:patient-list"), {}),
        (Role.REVIEWER, "patients, searched", reverse("records:patient-list"), {"q": "Test^Pat"}),
        (Role.REVIEWER, "study", study.get_absolute_url(), {}),
        (Role.REVIEWER, "opinion", reverse("classifier:opinion", args=[row.pk]), {}),
        (Role.REVIEWER, "patient", reverse("records:patient-detail", args=[study.patient_id]), {}),
        (Role.REVIEWER, "queue pill", reverse("classifier:queue-pill"), {}),
        (Role.TECHNICIAN, "submit", reverse("records:submit"), {}),
        (Role.AUDITOR, "audit", reverse("accounts:audit-list"), {}),
        (Role.ADMINISTRATOR, "people", reverse("accounts:user-list"), {}),
        (Role.ADMINISTRATOR, "models", reverse("classifier:model-list"), {}),
    ]
    lines = [f"{'page':<22}{'median ms':>10}{'max ms':>10}"]
    for role, name, address, posted in pages:
        times = measure(users[role], address, posted)
        lines.append(f"{name:<22}{statistics.median(times):>10.0f}{max(times):>10.0f}")
    with capsys.disabled():
        print("\n" + "\n".join(lines))


def measure(user: User, address: str, posted: dict[str, Any]) -> list[float]:
    """Milliseconds of each round, after one that isn't counted."""
    client = Client()
    client.force_login(user)
    times = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        response = client.post(address, posted) if posted else client.get(address)
        times.append((time.perf_counter() - started) * 1000)
        assert response.status_code == 200, address
    return times[1:]


def fill(department: Department, technician: User) -> None:
    """Write the studies, each with a patient, an instance, a result and three audit events."""
    patients = [
        Patient(mrn=f"B{number:06}", name=f"Test^Patient {number}", sex="FM"[number % 2])
        for number in range(STUDIES)
    ]
    Patient.objects.bulk_create(patients, batch_size=2000)
    version = factories.make_model_version()
    studies, series, instances, rows, events = [], [], [], [], []
    for number, patient in enumerate(patients):
        study = Study(
            study_instance_uid=f"2.25.{uuid.uuid4().int}",
            patient=patient,
            department=department,
            modalities=["CR"],
            body_part="CHEST",
            state=StudyState.COMPLETE,
            instance_count=1,
            priority="urgent" if number % 20 == 0 else "routine",
        )
        one = Series(study=study, series_instance_uid=f"2.25.{uuid.uuid4().int}", modality="CR")
        studies.append(study)
        series.append(one)
        instances.append(_instance(one))
        rows.append(_classification(study, version, STATES[number % len(STATES)]))
        events += [_event(study, technician) for _ in range(3)]
    for model, made in (
        (Study, studies),
        (Series, series),
        (Instance, instances),
        (Classification, rows),
        (AuditEvent, events),
    ):
        model.objects.bulk_create(made, batch_size=2000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum does in production


def _instance(series: Series) -> Instance:
    digest = uuid.uuid4().hex * 2
    return Instance(
        series=series,
        sop_instance_uid=f"2.25.{uuid.uuid4().int}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        sha256=digest,
        source_sha256=digest,
        file=f"{digest}.dcm",
        size_bytes=1,
        rows=8,
        columns=8,
        number_of_frames=1,
    )


def _classification(study: Study, version: Any, state: str) -> Classification:
    abstained, failed = state == "abstained", state == "failed"
    has_answer = not (abstained or failed)
    return Classification(
        study=study,
        task="chest-xray",
        state=state,
        priority=study.priority,
        finished_at=timezone.now(),
        model_version=version if has_answer else None,
        model_digest=version.digest if has_answer else "",
        outcome="abstained" if abstained else "finding" if has_answer else "",
        label="pneumonia" if has_answer else "",
        probabilities={"normal": 0.1, "pneumonia": 0.9} if has_answer else {},
        abstention="wrong_view" if abstained else "",
        failure_code="unexpected" if failed else "",
    )


def _event(study: Study, actor: User) -> AuditEvent:
    return AuditEvent(
        action="study.viewed",
        actor_kind="user",
        actor_id=actor.pk,
        actor_name=str(actor),
        target_type="study",
        target_id=str(study.pk),
        study_id=study.pk,
        patient_id=study.patient_id,
        department_id=study.department_id,
    )

"""Rows for tests, made directly: what stands before the use case that a test is about."""

import copy
import datetime as dt
import hashlib
import itertools
from typing import Any

from django.core.files.base import ContentFile
from django.db import connection
from pydicom.uid import generate_uid

from accounts.models import AuditEvent, Department, Membership, RoleProposal, User
from accounts.roles import DEPARTMENT_ROLES, Role
from classifier.models import Deployment, ModelVersion, SourceValidation
from ml.signing import product_keys
from records.choices import StudyState
from records.models import (
    DepartmentRule,
    DicomNode,
    IdentityConflict,
    Instance,
    Patient,
    QuarantinedFile,
    Series,
    Study,
    Submission,
)

PASSWORD = "correct-horse-battery-9"

_numbers = itertools.count(1)


def make_department(name: str | None = None) -> Department:
    """A department with a name of its own."""
    number = next(_numbers)
    return Department.objects.create(
        name=name or f"Department {number}", slug=f"department-{number}"
    )


def make_user(*roles: Role, department: Department | None = None, **fields: Any) -> User:
    """A person who holds `roles`, the departmental ones in `department`."""
    number = next(_numbers)
    user = User.objects.create_user(
        username=fields.pop("username", f"person{number}"),
        full_name=fields.pop("full_name", f"Person {number}"),
        password=PASSWORD,
        **fields,
    )
    for role in roles:
        where = (department or make_department()) if role in DEPARTMENT_ROLES else None
        Membership.objects.create(user=user, role=role, department=where)
    return user


def date_back(event: AuditEvent, moment: dt.datetime) -> AuditEvent:
    """The event as if it had been recorded then; only the tests' own database can do that."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT date_event_back(%s, %s)", [event.pk, moment])
    event.occurred_at = moment
    return event


def make_proposal(*, department: Department) -> RoleProposal:
    """A role of reviewer that an administrator proposed for somebody."""
    proposer = make_user(Role.ADMINISTRATOR)
    return RoleProposal.objects.create(
        user=make_user(), role=Role.REVIEWER, department=department, proposed_by=proposer
    )


def make_patient(**fields: Any) -> Patient:
    """An invented patient."""
    number = next(_numbers)
    defaults = {"mrn": f"P{number:05}", "name": f"Test^Patient {number}", "sex": "F"}
    return Patient.objects.create(**{**defaults, **fields})


def make_study(
    *,
    department: Department,
    modality: str = "CR",
    body_part: str = "CHEST",
    images: int = 1,
    content: bytes = b"not an image",
    **fields: Any,
) -> Study:
    """A complete study of one series; nobody has asked for its classification."""
    study = Study.objects.create(
        study_instance_uid=generate_uid(),
        patient=fields.pop("patient", None) or make_patient(),
        department=department,
        modalities=[modality],
        body_part=body_part,
        state=StudyState.COMPLETE,
        instance_count=images,
        **fields,
    )
    series = Series.objects.create(
        study=study,
        series_instance_uid=generate_uid(),
        modality=modality,
        body_part_examined=body_part,
    )
    for number in range(1, images + 1):
        make_instance(series=series, instance_number=number, content=content)
    return study


def make_instance(*, series: Series, content: bytes, **fields: Any) -> Instance:
    """One stored image of 8 x 8 pixels by its row; `content` is what the file holds."""
    uid = generate_uid()
    digest = hashlib.sha256(content).hexdigest()
    instance = Instance(
        series=series,
        sop_instance_uid=uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        sha256=digest,
        source_sha256=digest,
        size_bytes=len(content),
        rows=8,
        columns=8,
        number_of_frames=1,
        **fields,
    )
    instance.file.save(f"{digest}.dcm", ContentFile(content), save=False)
    instance.save()
    return instance


def make_quarantined(*, study: Study, submission: Submission) -> QuarantinedFile:
    """A file that came for somebody else's study, with the conflict that it raised."""
    sent = {"patient_id": "P-2", "issuer": "", "name": "Else^Who", "birth_date": "", "sex": ""}
    conflict = IdentityConflict.objects.create(
        kind="study",
        department=study.department,
        study=study,
        held_patient=study.patient,
        sent=sent,
        differing=["patient ID", "name"],
    )
    instance = Instance.objects.filter(series__study=study)[0]
    return QuarantinedFile.objects.create(
        reason="identity",
        submission=submission,
        verdict=submission.files.create(name="file", verdict="rejected", code="x", message="x"),
        conflict=conflict,
        sop_instance_uid=generate_uid(),
        series_instance_uid=generate_uid(),
        study_instance_uid=study.study_instance_uid,
        sha256=instance.sha256,
        source_sha256=instance.sha256,
        source_format="dicom",
        size_bytes=instance.size_bytes,
        number_of_frames=1,
        file=instance.file.name,
    )


def make_node(*, department: Department, **fields: Any) -> DicomNode:
    """A DICOM node that calls from this machine and may do everything."""
    rights = dict.fromkeys(("can_store", "can_query", "can_retrieve"), True)
    defaults = {"ae_title": f"NODE{next(_numbers)}", "addresses": ["127.0.0.1"], **rights}
    return DicomNode.objects.create(department=department, **{**defaults, **fields})


def make_rule(*, department: Department, **fields: Any) -> DepartmentRule:
    """A rule that sends images of a modality to a department."""
    return DepartmentRule.objects.create(department=department, **{"modality": "CR", **fields})


MANIFEST: dict[str, Any] = {
    "labels": ["normal", "pneumonia", "tuberculosis"],
    "normal_label": "normal",
    "codes": {
        "normal": {"value": "17621005", "scheme": "SCT", "meaning": "Normal"},
        "pneumonia": {"value": "233604007", "scheme": "SCT", "meaning": "Pneumonia"},
        "tuberculosis": {"value": "154283005", "scheme": "SCT", "meaning": "Tuberculosis"},
    },
    "operating": {"thresholds": {"pneumonia": 0.4, "tuberculosis": 0.3}},
    "limits": ["Made from the images of one hospital."],
    "intended_use": "Reading of frontal chest radiographs.",
    "scope": {"min_age_years": 1, "max_age_years": 100},
    "metrics": {"macro_auc": {"value": 0.99, "low": 0.98, "high": 0.995, "images": 100}},
}


def make_model_version(
    *, task: str = "chest-xray", is_live: bool = True, stage: str = "released"
) -> ModelVersion:
    """A registered version without a bundle, live unless said otherwise."""
    number = next(_numbers)
    version = ModelVersion.objects.create(
        task=task,
        version=f"1.{number}.0",
        digest=hashlib.sha256(str(number).encode()).hexdigest(),
        stage=stage,
        signed_by=product_keys()[0].id,
        manifest=copy.deepcopy(MANIFEST),
    )
    if is_live:
        Deployment.objects.create(task=task, model_version=version)
    return version


def make_source_validation(
    *, version: ModelVersion, department: Department | None = None, **fields: Any
) -> SourceValidation:
    """A standing statement that a version was validated, in a department unless said otherwise."""
    kind = "department" if department else "institution"
    defaults = {"kind": kind, "figures": "40 patients, sensitivity 0.95", "reason": "measured"}
    return SourceValidation.objects.create(
        model_version=version, department=department, **{**defaults, **fields}
    )

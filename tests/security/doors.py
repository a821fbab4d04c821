"""Every door through which a department sends images, and every place where it could look."""

import io
from collections.abc import Callable
from typing import Any

import pydicom
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import Department, User
from records.choices import Origin
from records.models import Submission, SubmissionFile
from records.services import submit_study
from tests.dicom.files import make_dicom, make_zip
from tests.records.dicomweb.messages import body_of, store
from tests.records.tus import Tus

ERIKA = {"PatientName": "Muster^Erika", "PatientBirthDate": "19800229", "PatientSex": "F"}
PLACES = (
    "/patients/",
    "/studies/",
    "/conflicts/?state=all",
    "/conflicts/",
    "/",
    "/api/v1/patients/?page_size=200",
    "/api/v1/studies/?page_size=200",
    "/api/v1/conflicts/?page_size=200",
    "/api/v1/submissions/?page_size=200",
    "/api/v1/instances/?page_size=200",
    "/dicomweb/studies?includefield=all",
    "/dicomweb/series?includefield=all",
    "/dicomweb/instances?includefield=all",
)


def by_rest(client: Client, user: User, department: Department, content: bytes) -> None:
    files = [SimpleUploadedFile("file", content)]
    client.post("/api/v1/submissions/", {"files": files, "department": department.slug})


def by_page(client: Client, user: User, department: Department, content: bytes) -> None:
    """The page opens a batch, and sends its files by tus."""
    given = {"department": str(department.pk), "priority": "routine"}
    opened = client.post(reverse("records:submission-create"), given).json()
    submission = Submission.objects.get(pk=opened["id"])
    _by_tus(client, submission, content)
    client.post(reverse("records:submission-close", args=[submission.pk]))


def by_tus(client: Client, user: User, department: Department, content: bytes) -> None:
    answer = client.post(
        "/api/v1/submissions/", {"department": department.slug, "keep_open": "true"}
    )
    submission = Submission.objects.get(pk=answer.json()["id"])
    _by_tus(client, submission, content)
    client.post(f"/api/v1/submissions/{submission.pk}/close/")


def by_stow(client: Client, user: User, department: Department, content: bytes) -> None:
    store(client, body_of(content), path=f"studies?department={department.slug}")


def by_zip(client: Client, user: User, department: Department, content: bytes) -> None:
    by_rest(client, user, department, make_zip({"one": content}))


def by_dimse(client: Client, user: User, department: Department, content: bytes) -> None:
    """What a C-STORE calls: no person stands behind it."""
    named = [("file", io.BytesIO(content))]
    submit_study(actor=None, department=department, files=named, origin=Origin.DIMSE)


Door = Callable[[Client, User, Department, bytes], None]
DOORS: dict[str, Door] = {
    "rest": by_rest,
    "page": by_page,
    "tus": by_tus,
    "stow": by_stow,
    "zip": by_zip,
    "dimse": by_dimse,
}


def _by_tus(client: Client, submission: Submission, content: bytes) -> None:
    Tus(client, submission, _nothing_waits).create(size=len(content), body=content)


class _nothing_waits:  # noqa: N801 - stands in for a fixture's context manager
    def __init__(self, **_: Any) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def last_verdict(department: Department) -> SubmissionFile:
    rows = SubmissionFile.objects.filter(submission__department=department)
    return rows.order_by("-created_at", "-id")[0]


def everything_seen(client: Client) -> str:
    """All that somebody is shown in every list, and on every page that those lead to."""
    pages = [_text(client, place) for place in PLACES]
    for kind in ("patients", "studies", "conflicts"):
        listed = client.get(f"/api/v1/{kind}/?page_size=200").json()["results"]
        for row in listed:
            pages.append(_text(client, f"/{kind}/{row['id']}/"))
            pages.append(_text(client, f"/api/v1/{kind}/{row['id']}/"))
    return "\n".join(pages)


def _text(client: Client, address: str) -> str:
    answer = client.get(address)
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return str(content.decode())


def dicom(**elements: Any) -> bytes:
    """A slice whose header says what is given, and nothing of a patient but that."""
    nothing = dict.fromkeys(("PatientName", "PatientBirthDate", "PatientSex"), "")
    return make_dicom(**(nothing | {"PatientID": "P-1"} | elements))


def uids_of(content: bytes) -> dict[str, str]:
    header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
    names = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    return {name: str(header[name].value) for name in names}

"""Room that one person asks for and doesn't use, and what that leaves for the others."""

import base64
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client

from accounts.roles import Role
from records.models import Submission, Upload
from records.services import abandon_upload
from tests.dicom.files import make_dicom
from tests.factories import make_department, make_user

GIB = 1024**3
Usage = namedtuple("Usage", "total used free")
BYTES = "application/offset+octet-stream"


@pytest.fixture
def sixty_gib_free(monkeypatch):
    """The disk as the product sees it; nothing is written that would fill it."""
    usage = Usage(100 * GIB, 38 * GIB, 62 * GIB)
    monkeypatch.setattr("records.files.spool.shutil.disk_usage", lambda path: usage)


def person_of(department, role=Role.TECHNICIAN) -> Client:
    client = Client()
    client.force_login(make_user(role, department=department))
    return client


def open_batch(client: Client):
    return client.post("/api/v1/submissions/", {"keep_open": "true"})


def begin(client: Client, submission: str, size: int, body: bytes = b""):
    name = base64.b64encode(b"x.dcm").decode()
    return client.post(
        f"/api/v1/submissions/{submission}/uploads/",
        body,
        content_type=BYTES,
        headers={
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(size),
            "Upload-Metadata": f"filename {name}",
        },
    )


@pytest.mark.usefixtures("db", "sixty_gib_free")
def test_one_person_cannot_reserve_the_disk_from_the_others():
    attacker = person_of(make_department(), Role.INTEGRATOR)
    submission = open_batch(attacker).json()["id"]
    answers = [begin(attacker, submission, GIB) for _ in range(56)]
    refused = [answer for answer in answers if answer.status_code != 201]

    other = person_of(make_department())
    theirs = [begin(other, open_batch(other).json()["id"], size) for size in (600 * 2**20, 10)]

    assert [answer.status_code for answer in theirs] == [201, 201]
    assert 10 < Upload.objects.filter(size_bytes=GIB).count() < 20
    assert {answer.status_code for answer in refused} == {429}
    assert {answer.json()["code"] for answer in refused} == {"upload_share_used"}
    assert refused[0]["Retry-After"] == "60"
    assert refused[0]["Tus-Resumable"] == "1.0.0"


@pytest.mark.usefixtures("db", "sixty_gib_free")
def test_uploads_are_bounded_over_all_batches_of_a_person(settings):
    settings.INTAKE_OPEN_UPLOADS = 5
    client = person_of(make_department())
    batches = [open_batch(client).json()["id"] for _ in range(3)]

    answers = [begin(client, batches[number % 3], 100) for number in range(9)]

    assert [answer.status_code for answer in answers] == [201] * 5 + [429] * 4
    assert answers[-1].json()["code"] == "too_many_unfinished"
    abandon_upload(upload=Upload.objects.all()[0])
    assert begin(client, batches[0], 100).status_code == 201


@pytest.mark.usefixtures("db", "sixty_gib_free")
@pytest.mark.parametrize("door", ["api", "page", "stow"])
def test_open_batches_are_bounded_by_every_door(settings, door):
    settings.INTAKE_OPEN_SUBMISSIONS = 4
    department = make_department()
    client = person_of(department)
    for _ in range(4):
        assert open_batch(client).status_code == 201

    answer = {
        "api": lambda: open_batch(client),
        "page": lambda: client.post(
            "/submissions/", {"department": department.pk, "priority": "routine"}
        ),
        "stow": lambda: client.post(
            "/dicomweb/studies", make_dicom(), content_type="application/dicom"
        ),
    }[door]()

    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_unfinished")
    assert answer["Retry-After"] == "60"
    assert Submission.objects.count() == 4
    client.post(f"/api/v1/submissions/{Submission.objects.all()[0].pk}/close/")
    assert open_batch(client).status_code == 201


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("sixty_gib_free")
def test_many_at_once_get_no_more_than_one_after_another(settings):
    settings.INTAKE_OPEN_UPLOADS = settings.INTAKE_OPEN_SUBMISSIONS = 3
    client = person_of(make_department())
    submission = open_batch(client).json()["id"]

    def twice(_: int) -> tuple[int, int]:
        try:
            mine = Client()
            mine.cookies = client.cookies
            return begin(mine, submission, 50).status_code, open_batch(mine).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(twice, range(16)))

    assert Upload.objects.count() == 3
    assert Submission.objects.count() == 3
    assert {code for pair in codes for code in pair} == {201, 429}


@pytest.mark.usefixtures("db", "sixty_gib_free")
def test_honest_people_send_large_files_side_by_side():
    department = make_department()
    people = [person_of(department) for _ in range(6)]
    batches = [open_batch(person).json()["id"] for person in people]

    codes = [
        begin(person, batch, size).status_code
        for person, batch in zip(people, batches, strict=True)
        for size in (900 * 2**20, 900 * 2**20, 40 * 2**20)
    ]

    assert set(codes) == {201}


@pytest.mark.usefixtures("db")
def test_honest_large_file_fits_where_little_is_left(monkeypatch):
    usage = Usage(100 * GIB, 97 * GIB, 3 * GIB + 50 * 2**20)
    monkeypatch.setattr("records.files.spool.shutil.disk_usage", lambda path: usage)
    client = person_of(make_department())
    submission = open_batch(client).json()["id"]

    large = begin(client, submission, 900 * 2**20)
    small = begin(client, submission, 100)
    too_large = begin(client, submission, 900 * 2**20)

    assert [one.status_code for one in (large, small, too_large)] == [201, 201, 429]


@pytest.mark.usefixtures("db", "sixty_gib_free")
def test_honest_series_of_many_files_needs_no_more_than_its_own_room(settings):
    settings.INTAKE_OPEN_UPLOADS = 3
    client = person_of(make_department())
    submission = open_batch(client).json()["id"]

    for number in range(30):
        content = make_dicom(InstanceNumber=number)
        assert begin(client, submission, len(content), content).status_code == 201


@pytest.mark.usefixtures("db", "sixty_gib_free")
def test_expired_uploads_reserve_nothing():
    client = person_of(make_department())
    submission = open_batch(client).json()["id"]
    for _ in range(40):
        begin(client, submission, GIB)
    Upload.objects.update(expires_at="2020-01-01T00:00Z")

    assert begin(client, submission, GIB).status_code == 201

"""The REST API: what an integrator may rely on."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pydicom.uid import generate_uid
from rest_framework.test import APIClient

from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.services import issue_token
from records.choices import Action
from records.models import Instance, Study, Submission
from tests.dicom.files import make_dicom, make_png
from tests.factories import make_department, make_study, make_user

pytestmark = pytest.mark.django_db

ROOT = "/api/v1"


@pytest.fixture
def api(department) -> APIClient:
    """An integrator's client, through a token."""
    user = make_user(Role.INTEGRATOR, department=department, username="pacs")
    client = APIClient()
    client.force_authenticate(user)
    return client


def post(api: APIClient, *contents: bytes, **fields):
    files = [SimpleUploadedFile(f"file-{number}", c) for number, c in enumerate(contents, 1)]
    return api.post(f"{ROOT}/submissions/", {"files": files, **fields}, format="multipart")


def test_submission_answers_with_a_verdict_for_every_file(api):
    answer = post(api, make_dicom(), b"nothing", b"")

    body = answer.json()
    assert answer.status_code == 201
    assert body["state"] == "partly_stored"
    good, unknown, empty = body["files"]
    assert set(good) >= {"name", "verdict", "code", "message", "action", "study"}
    assert (good["verdict"], good["study"]) == ("stored", str(Study.objects.get().pk))
    assert (unknown["code"], empty["code"]) == ("unknown_format", "empty_file")
    assert unknown["study"] is None
    assert Submission.objects.get().origin == "api"
    assert api.get(f"{ROOT}/submissions/{body['id']}/").json() == body


def test_submission_again_is_a_duplicate(api):
    content = make_dicom()
    first = post(api, content).json()

    again = post(api, content).json()

    assert (again["state"], again["files"][0]["verdict"]) == ("stored", "duplicate")
    assert again["files"][0]["study"] == first["files"][0]["study"]


def test_submission_takes_declared_fields(api):
    answer = post(
        api,
        make_png(),
        patient_id="P-3",
        patient_name="Grün^Zoë",
        birth_date="1991-03-04",
        sex="F",
        modality="CR",
        body_part="CHEST",
        priority="urgent",
    )

    assert answer.json()["state"] == "stored"
    study = Study.objects.get()
    assert (study.patient.name, str(study.patient.birth_date)) == ("Grün^Zoë", "1991-03-04")
    assert (study.modalities, study.priority) == (["CR"], "urgent")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", "now"),
        ("sex", "Q"),
        ("birth_date", "4.3.1991"),
        ("birth_date", "1066-10-14"),
        ("study_date", "2999-01-01"),
        ("patient_id", "a\\b"),
        ("patient_id", "x" * 65),
        ("modality", "not a code!"),
        ("patientid", "P-3"),
    ],
)
def test_bad_field_is_refused_by_name(api, field, value):
    answer = post(api, make_dicom(), **{field: value})

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{field}"]
    assert not Submission.objects.exists()


def test_submission_without_files_is_refused_by_name(api):
    answer = post(api)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/files"


def test_submission_goes_to_the_department_that_is_named(api, department):
    second = make_department("Angiography")
    user = make_user(Role.INTEGRATOR, department=department)
    user.memberships.create(role=Role.INTEGRATOR, department=second)
    api.force_authenticate(user)

    assert post(api, make_dicom()).json()["code"] == "department_required"
    for given in (department.slug, department.name, str(department.pk)):
        answer = post(api, make_dicom(), department=given)
        assert answer.json()["department"] == department.slug
    refused = post(api, make_dicom(), department=make_department().slug)
    assert (refused.status_code, refused.json()["code"]) == (400, "department_unknown")


def test_token_opens_the_door(department):
    user = make_user(Role.INTEGRATOR, department=department)
    scopes = ["study.submit", "study.view"]
    _, value = issue_token(actor=user, user=user, name="PACS", scopes=scopes, days=1)
    client = APIClient(headers={"Authorization": f"Token {value}"})

    assert post(client, make_dicom()).status_code == 201
    assert client.get(f"{ROOT}/studies/").status_code == 200
    assert client.get(f"{ROOT}/patients/").status_code == 403
    assert AuditEvent.objects.get(action=Action.FILE_STORED).actor_kind == "token"


def everything(instance: Instance) -> list[str]:
    study = instance.series.study
    return [
        f"{ROOT}/studies/{study.pk}/",
        f"{ROOT}/patients/{study.patient_id}/",
        f"{ROOT}/instances/{instance.pk}/",
        f"{ROOT}/instances/{instance.pk}/file/",
        f"{ROOT}/instances/{instance.pk}/rendered/",
        f"{ROOT}/submissions/{Submission.objects.get().pk}/",
    ]


LISTS = [f"{ROOT}/{name}/" for name in ("studies", "patients", "instances", "submissions")]


def test_out_of_sight_is_not_found_and_wrong_role_is_refused(api, stranger):
    post(api, make_dicom())
    instance = Instance.objects.get()

    api.force_authenticate(stranger)
    assert {api.get(address).status_code for address in everything(instance)} == {404}
    assert all(api.get(address).json()["results"] == [] for address in LISTS)
    api.force_authenticate(make_user(Role.AUDITOR))
    for address in [*everything(instance), *LISTS]:
        assert api.get(address).status_code == 403
    api.force_authenticate(None)
    for address in [*everything(instance), *LISTS]:
        assert api.get(address).status_code == 401
    assert post(api, make_dicom()).status_code == 401


def test_study_tells_its_series_and_instances_their_file(api):
    content = make_dicom(
        SeriesDescription="Lung", StudyID="RAD-7", ReferringPhysicianName="Ōe^Kenzaburō=大江^健三郎"
    )
    study_id = post(api, content).json()["files"][0]["study"]

    study = api.get(f"{ROOT}/studies/{study_id}/").json()
    (instance,) = api.get(f"{ROOT}/instances/", {"study": study_id}).json()["results"]
    file = api.get(f"{ROOT}/instances/{instance['id']}/file/", headers={"Accept": "*/*"})
    drawn = api.get(
        f"{ROOT}/instances/{instance['id']}/rendered/?frame=1&center=100&width=50",
        headers={"Accept": "image/png"},
    )

    assert study["patient"]["patient_id"] == "P-1"
    assert (study["study_id"], study["referring_physician_name"]) == ("RAD-7", "Ōe^Kenzaburō")
    assert study["referring_physician_ideographic_name"] == "大江^健三郎"
    assert [series["description"] for series in study["series"]] == ["Lung"]
    assert (instance["rows"], instance["exclusion"]) == (16, "")
    assert b"".join(file.streaming_content) == content
    assert drawn.content.startswith(b"\x89PNG")


@pytest.mark.parametrize("params", ["frame=0", "frame=x", "width=1", "center=1&width=-1"])
def test_bad_frame_or_window_is_a_problem(api, params):
    post(api, make_dicom())

    answer = api.get(f"{ROOT}/instances/{Instance.objects.get().pk}/rendered/?{params}")

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


def test_frame_that_is_not_there_is_a_problem(api):
    post(api, make_dicom())

    answer = api.get(f"{ROOT}/instances/{Instance.objects.get().pk}/rendered/?frame=2")

    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_frame")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"modality": "MR"}, ["head"]),
        ({"body_part": "chest"}, ["chest"]),
        ({"priority": "urgent"}, ["head"]),
        ({"state": "complete"}, ["head", "chest"]),
        ({"since": "2020-01-01", "until": "2020-12-31"}, []),
        ({}, ["head", "chest"]),
    ],
)
def test_studies_are_narrowed_by_parameters(api, department, params, expected):
    made = {
        "chest": make_study(department=department, images=0),
        "head": make_study(
            department=department, modality="MR", body_part="HEAD", priority="urgent", images=0
        ),
    }

    found = [study["id"] for study in api.get(f"{ROOT}/studies/", params).json()["results"]]

    assert found == [str(made[name].pk) for name in expected]


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"state": "gone"}, 400),
        ({"since": "yesterday"}, 400),
        ({"until": "9999-12-31"}, 400),
        ({"page_size": "abc"}, 400),
        ({"page_size": "0"}, 400),
        ({"page_size": "-5"}, 400),
        ({"page_size": "201"}, 400),
        ({"cursor": "nonsense"}, 400),
        ({"department": "0"}, 404),
    ],
)
def test_bad_parameter_is_refused_by_name(api, params, status):
    answer = api.get(f"{ROOT}/studies/", params)

    assert answer.status_code == status
    assert answer.json()["errors"][0]["pointer"] == f"/{next(iter(params))}"


def test_lists_are_paged_by_cursor_and_cost_the_same(
    api, department, django_assert_max_num_queries
):
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    post(api, *[make_dicom(InstanceNumber=number, **uids) for number in range(30)])
    for _ in range(30):
        make_study(department=department, images=0)

    for address in LISTS:
        with django_assert_max_num_queries(12):
            page = api.get(address, {"page_size": 20}).json()
        seen = [row["id"] for row in page["results"]]
        while page["next"]:
            page = api.get(page["next"]).json()
            seen += [row["id"] for row in page["results"]]
        assert len(seen) == len(set(seen))


def test_reading_is_recorded(api):
    post(api, make_dicom())
    for address in [*everything(Instance.objects.get()), *LISTS]:
        b"".join(api.get(address))  # read to its end, as a client does, so that it closes its file

    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert actions >= {
        Action.STUDY_VIEWED,
        Action.PATIENT_VIEWED,
        Action.IMAGE_VIEWED,
        Action.IMAGE_DOWNLOADED,
        Action.STUDIES_SEARCHED,
        Action.PATIENTS_SEARCHED,
    }

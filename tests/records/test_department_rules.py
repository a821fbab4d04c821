"""Which department images are filed in: named, bound, the only one, or by a rule; never guessed."""

import io

import pydicom
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from rest_framework.test import APIClient

from accounts.models import ApiToken, AuditEvent, Department, User
from accounts.roles import Role
from accounts.services import issue_token
from records import errors
from records.choices import Action
from records.models import DepartmentRule, Study, Submission
from records.services import add_rule, choose_department
from tests.dicom.files import make_dicom, make_png, make_zip
from tests.factories import make_department, make_rule, make_study, make_user
from tests.records.dicomweb.messages import body_of, store

pytestmark = pytest.mark.django_db

SKIN = {"Modality": "XC", "BodyPartExamined": "SKIN"}


@pytest.fixture
def second() -> Department:
    """Before the first by name, so that a guess would be wrong."""
    return make_department("Dermatology")


@pytest.fixture
def sender(department: Department, second: Department) -> User:
    """An integrator of two departments."""
    user = make_user(Role.INTEGRATOR, department=department)
    user.memberships.create(role=Role.INTEGRATOR, department=second)
    return User.objects.get(pk=user.pk)


@pytest.fixture
def api(sender: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(sender)
    return client


@pytest.fixture
def bound(sender: User, department: Department) -> APIClient:
    """A client with a token that is bound to the department."""
    _, value = issue_token(actor=sender, user=sender, name="x", days=1, department=department)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {value}")
    return client


def post(api: APIClient, *contents: bytes, **fields):
    files = [SimpleUploadedFile(f"f{number}", c) for number, c in enumerate(contents)]
    return api.post("/api/v1/submissions/", {"files": files, **fields}, format="multipart")


def with_source(content: bytes, title: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(content))
    dataset.file_meta.SourceApplicationEntityTitle = title
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def test_sender_of_several_departments_has_to_name_one_at_every_door(
    api, client, sender, department, second
):
    client.force_login(sender)
    offered = [
        {"slug": second.slug, "name": "Dermatology"},
        {"slug": department.slug, "name": "Radiology"},
    ]
    answers = [
        post(api, make_dicom()),
        post(api, keep_open=True),
        store(client, body_of(make_dicom())),
        client.post("/dicomweb/studies", make_dicom(), content_type="application/dicom"),
    ]

    for answer in answers:
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (400, "department_required")
        assert problem["departments"] == offered
        assert "?department=" in problem["action"]
    page = client.post("/submissions/", {"priority": "routine"})
    assert list(page.json()["errors"]) == ["department"]
    assert not Submission.objects.exists()


def test_only_department_needs_no_name(department):
    user = make_user(Role.INTEGRATOR, department=department)
    assert choose_department(actor=user).department == department
    nobody = make_user(Role.AUDITOR)
    with pytest.raises(errors.DepartmentRequired):
        choose_department(actor=nobody)


@pytest.mark.parametrize(
    "rule",
    [
        {"modality": "XC"},
        {"modality": "", "body_part": "SKIN"},
        {"modality": "XC", "body_part": "SKIN"},
        {"modality": "", "ae_title": "Camera1"},
    ],
)
def test_rule_chooses_the_department_at_rest_and_dicomweb(api, client, sender, second, rule):
    make_rule(department=second, **rule)
    client.force_login(sender)

    assert post(api, with_source(make_dicom(**SKIN), "Camera1")).json()["department"] == second.slug
    assert store(client, body_of(with_source(make_dicom(**SKIN), "Camera1"))).status_code == 200
    assert Study.objects.filter(department=second).count() == 2
    # Another kind of image fits no rule.
    other = with_source(make_dicom(), "CAMERA1")
    assert post(api, other).json()["code"] == "department_required"
    assert store(client, body_of(other)).json()["code"] == "department_required"


def test_rule_goes_by_what_is_declared_with_pictures(api, second):
    make_rule(department=second, modality="", body_part="SKIN")

    stored = post(api, make_png(), patient_id="P-1", body_part="skin").json()
    refused = post(api, make_png(), patient_id="P-1")

    assert (stored["department"], stored["state"]) == (second.slug, "stored")
    assert refused.json()["code"] == "department_required"


def test_mixed_files_are_never_filed_by_the_rule_of_one(api, client, sender, department, second):
    make_rule(department=second, **{"modality": "XC"})
    make_rule(department=department, modality="CT")
    client.force_login(sender)

    assert post(api, make_dicom(), make_dicom(**SKIN)).json()["code"] == "department_required"
    # Where only the first is known at the start, the others are refused one by one.
    answer = store(client, body_of(make_dicom(), make_dicom(**SKIN), make_dicom(Modality="MR")))
    assert answer.status_code == 202
    assert {study.department for study in Study.objects.all()} == {department}
    codes = list(Submission.objects.get().files.values_list("code", flat=True))
    assert codes == ["stored", "department_unclear", "department_unclear"]


def test_archive_is_filed_by_what_is_declared_and_checked_file_by_file(api, department, second):
    make_rule(department=department, modality="CT")
    make_rule(department=second, modality="XC")
    archive = make_zip({"a.dcm": make_dicom(), "b.dcm": make_dicom(**SKIN)})

    assert post(api, archive).json()["code"] == "department_required"
    body = post(api, archive, modality="CT").json()
    assert [file["code"] for file in body["files"]] == ["stored", "department_unclear"]


def test_lowest_position_counts_and_a_draw_chooses_nothing(api, department, second):
    make_rule(department=second, modality="CT", position=5)
    make_rule(department=department, modality="", body_part="CHEST", position=7)
    assert post(api, make_dicom()).json()["department"] == second.slug

    DepartmentRule.objects.update(position=7)
    assert post(api, make_dicom()).json()["code"] == "department_required"


def test_rule_of_a_department_that_is_not_the_sender_s_is_not_asked(api, department):
    make_rule(department=make_department("Secret"), modality="CT", position=1)
    assert post(api, make_dicom()).json()["code"] == "department_required"
    make_rule(department=department, modality="CT", position=9)
    assert post(api, make_dicom()).json()["department"] == department.slug


def test_page_leaves_it_to_the_rules_by_the_beginning_of_the_first_file(client, sender, second):
    make_rule(department=second, modality="XC")
    client.force_login(sender)
    page = client.get("/submit/").content.decode()
    assert "By the images (department rules)" in page
    first = SimpleUploadedFile("first", make_dicom(**SKIN)[:4096])

    opened = client.post("/submissions/", {"priority": "routine", "first": first})
    unknown = client.post("/submissions/", {"priority": "routine"})

    assert opened.status_code == 201
    assert Submission.objects.get().department == second
    assert list(unknown.json()["errors"]) == ["department"]


def test_bound_token_files_in_its_department_and_acts_in_no_other(bound, department, second, api):
    theirs = make_study(department=second)

    assert post(bound, make_dicom()).json()["department"] == department.slug
    sent = bound.post("/dicomweb/studies", make_dicom(), content_type="application/dicom")
    assert sent.status_code == 200
    refused = post(bound, make_dicom(), department=second.slug)
    assert refused.json()["code"] == "department_unknown"
    assert bound.get(f"/api/v1/studies/{theirs.pk}/").status_code == 404
    assert api.get(f"/api/v1/studies/{theirs.pk}/").status_code == 200
    assert [row["slug"] for row in bound.get("/api/v1/departments/").json()] == [department.slug]


def test_token_is_bound_by_api_and_page_and_command(api, client, sender, department, second):
    asked = {"name": "pacs", "days": 1, "scopes": ["study.submit"], "department": second.slug}
    made = api.post("/api/v1/tokens/", asked, format="json").json()
    client.force_login(sender)
    form = {"name": "page", "days": 1, "scopes": ["study.submit"], "department": department.pk}
    assert client.post("/profile/tokens/new/", form).status_code == 302
    out = io.StringIO()
    call_command("issue_token", user=sender.username, days=1, department="Dermatology", stdout=out)

    assert made["department"] == second.slug
    assert ApiToken.objects.get(name="command line").department == second
    assert ApiToken.objects.get(name="page").department == department
    strange = make_department("Strange")
    refused = api.post("/api/v1/tokens/", asked | {"department": strange.slug}, format="json")
    assert refused.status_code == 400


def test_token_of_a_bound_token_is_bound_alike(bound, department, second):
    asked = {"name": "child", "days": 1, "scopes": ["study.view"]}
    assert bound.post("/api/v1/tokens/", asked, format="json").json()["department"] == (
        department.slug
    )
    wider = bound.post("/api/v1/tokens/", asked | {"department": second.slug}, format="json")
    assert wider.status_code == 400


def test_refusal_says_where_the_study_is_to_members_of_both_alone(
    api, client, sender, department, second, send
):
    content = make_dicom()
    send(("a", content), actor=None, department=second)

    file = post(api, content, department=department.slug).json()["files"][0]
    client.force_login(sender)
    stow = store(client, body_of(content), path=f"studies?department={department.slug}")

    assert file["code"] == "held_by_other_department"
    assert "held in Dermatology" in file["message"]
    assert f"department={second.slug}" in file["action"]
    assert "Dermatology" in stow.content.decode()


def test_others_of_the_department_learn_nothing_of_where_it_is(
    api, client, sender, department, second, send
):
    content = make_dicom()
    send(("a", content), actor=None, department=second)
    sent = post(api, content, department=department.slug).json()
    address = f"/api/v1/submissions/{sent['id']}/"
    page = f"/submissions/{sent['id']}/"
    colleague = make_user(Role.TECHNICIAN, department=department)

    assert "Dermatology" in api.get(address).content.decode()
    for user, sees in ((sender, True), (colleague, False)):
        client.force_login(user)
        for url in (address, page):
            shown = client.get(url).content.decode()
            assert ("held in Dermatology" in shown) == sees, (user, url)
            assert ("held_by_other_department" in shown) == sees
    # Whoever isn't a member of the other sends it as if nobody held it.
    assert client.post("/api/v1/submissions/", {"files": io.BytesIO(content)}).json()["state"] == (
        "stored"
    )


def test_administrator_keeps_the_rules_by_page_and_rest(client, department, second):
    admin = make_user(Role.ADMINISTRATOR)
    client.force_login(admin)
    form = {"department": str(department.pk), "modality": "ct", "position": 10}

    assert client.post("/department-rules/new/", form).status_code == 302
    rule = DepartmentRule.objects.get()
    assert str(rule) == "CT"
    again = client.post("/department-rules/new/", form)
    assert "There is a rule for the same images" in again.content.decode()
    empty = client.post("/department-rules/new/", form | {"modality": ""})
    assert "says nothing of the images" in empty.content.decode()
    form |= {"body_part": "chest"}
    assert client.post(f"/department-rules/{rule.pk}/", form).status_code == 302
    listed = client.get("/api/v1/department-rules/").json()
    assert [(row["modality"], row["body_part"]) for row in listed] == [("CT", "CHEST")]
    body = {"department": second.slug, "modality": "xc", "position": 1}
    made = client.post("/api/v1/department-rules/", body, content_type="application/json").json()
    address = f"/api/v1/department-rules/{made['id']}/"
    changed = client.patch(address, {"ae_title": "CAM"}, content_type="application/json")
    assert changed.json()["ae_title"] == "CAM"
    taken = {"department": department.slug, "modality": "CT", "body_part": "CHEST"}
    clash = client.patch(address, taken | {"ae_title": ""}, content_type="application/json")
    assert (clash.status_code, clash.json()["code"]) == (409, "rule_taken")
    assert client.delete(address).status_code == 204
    assert client.post(f"/department-rules/{rule.pk}/remove/").status_code == 302
    assert not DepartmentRule.objects.exists()
    kinds = ("added", "changed", "removed")
    for kind in kinds:
        events = AuditEvent.objects.filter(action=f"department_rule.{kind}")
        assert events.count() == 2
        assert events[0].sentence.startswith(str(admin))


def test_add_rule_records_one_event(department):
    before = AuditEvent.objects.count()
    add_rule(actor=make_user(Role.ADMINISTRATOR), department=department, modality="mr")
    event = AuditEvent.objects.get(action=Action.RULE_ADDED)
    assert AuditEvent.objects.count() == before + 1
    assert event.department_id == department.pk


def test_rejected_rows_of_an_earlier_batch_lead_back_to_the_form_as_it_was(
    client, sender, department
):
    client.force_login(sender)
    fields = {"department": department.pk, "priority": "routine", "patient_name": "Doe, Jane"}
    opened = client.post("/submissions/", fields).json()
    batch = Submission.objects.get()
    batch.files.create(name="mole.png", verdict="rejected", code="patient_required", message="Who?")
    closed = client.post(opened["close_url"]).json()
    again = f"/submissions/{batch.pk}/again/"

    assert (closed["rejected"], closed["files"], closed["studies"]) == (1, 1, [])
    assert "Rejected" in closed["chip"]
    assert again in client.get(f"/submissions/{batch.pk}/").content.decode()
    page = client.get(again).content.decode()
    for words in ("Doe^Jane", "mole.png", "Who?", f'value="{department.pk}" selected'):
        assert words in page
    assert AuditEvent.objects.filter(action=Action.SUBMISSION_VIEWED).exists()

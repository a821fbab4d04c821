"""The pages: what they show, to whom, at which cost, and what they leave in the trail."""

import base64
import io
import json
from uuid import UUID

import numpy as np
import pytest
from django.urls import reverse
from PIL import Image
from pydicom.uid import generate_uid

from accounts.models import AuditEvent
from accounts.roles import Role
from records.choices import Action, SubmissionState
from records.files import partial
from records.models import Instance, Patient, Study, Submission
from tests.dicom.files import make_dicom, make_png
from tests.factories import make_patient, make_study, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client, technician):
    """A browser in which the technician is signed in."""
    client.force_login(technician)
    return client


@pytest.fixture
def instance(send) -> Instance:
    send(("a", make_dicom(WindowCenter=128, WindowWidth=256)))
    return Instance.objects.get()


def upload(client, url, content, name="Muster_Erika.dcm"):
    return client.post(
        url,
        content,
        content_type="application/offset+octet-stream",
        headers={
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(len(content)),
            "Upload-Metadata": f"filename {base64.b64encode(name.encode()).decode()}",
        },
    )


def begin_upload(client, url):
    """Announce ten bytes and send none of them; return the upload's id."""
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "10"}
    return UUID(client.generic("POST", url, headers=headers).json()["id"])


def addresses(instance: Instance) -> dict[str, str]:
    study = instance.series.study
    return {
        "study": reverse("records:study-detail", args=[study.pk]),
        "patient": reverse("records:patient-detail", args=[study.patient_id]),
        "frame": reverse("records:frame-png", args=[instance.pk, 1]),
        "file": reverse("records:instance-file", args=[instance.pk]),
        "submission": reverse(
            "records:submission-detail", args=[Submission.objects.latest("created_at").pk]
        ),
    }


def test_uploader_walks_from_form_to_study(page, department):
    opened = page.post(
        reverse("records:submission-create"),
        {"department": str(department.pk), "priority": "urgent", "patient_id": "P-5"},
    )
    assert opened.status_code == 201
    upload_url, close_url = opened.json()["upload_url"], opened.json()["close_url"]

    good = upload(page, upload_url, make_png(), name="chest.png")
    bad = upload(page, upload_url, b"nothing")
    resumed = page.get(opened.json()["url"])
    closed = page.post(close_url)

    study = Study.objects.get()
    assert (good.status_code, bad.status_code) == (201, 201)
    assert good.json()["files"][0]["study"] == str(study.pk)
    assert bad.json()["files"][0]["code"] == "unknown_format"
    assert bad.json()["files"][0]["action"]
    assert resumed.context["upload_url"] == upload_url
    assert closed.json()["state"] == SubmissionState.PARTLY_STORED
    assert closed.json()["studies"][0]["url"] == study.get_absolute_url()
    assert study.priority == "urgent"
    assert "upload_url" not in page.get(opened.json()["url"]).context


def test_uploader_hears_known_errors_as_json(page, department, stranger):
    create = reverse("records:submission-create")
    elsewhere = stranger.departments.get()

    for values in ({"department": str(elsewhere.pk)}, {"sex": "Q"}, {"patient_id": "a\\b"}):
        answer = page.post(create, {"department": department.pk, "priority": "routine"} | values)
        assert answer.status_code == 400
        assert set(answer.json()["errors"]) == set(values)

    opened = page.post(create, {"department": department.pk, "priority": "routine"}).json()
    with partial.exclusive(begin_upload(page, opened["upload_url"])):
        busy = page.post(opened["close_url"])
    page.post(opened["close_url"])
    late = upload(page, opened["upload_url"], make_dicom())
    assert (busy.status_code, busy.json()["code"]) == (423, "upload_busy")
    assert set(busy.json()) == {"code", "message", "action"}
    assert (late.status_code, late.json()["code"]) == (409, "submission_closed")


def test_batch_page_names_what_came_only_in_part_to_its_sender(page, department):
    opened = page.post(
        reverse("records:submission-create"), {"department": department.pk, "priority": "routine"}
    ).json()
    begin_upload(page, opened["upload_url"])

    mine = page.get(opened["url"])
    page.force_login(make_user(Role.TECHNICIAN, department=department))
    another_s = page.get(opened["url"])

    (known,) = mine.context["unfinished_addresses"]
    assert (known["offset"], known["size"]) == (0, 10)
    assert page.get(known["url"]).status_code == 404
    assert "Arrived only in part" in mine.content.decode()
    assert another_s.context["unfinished_addresses"] == []


def test_uploader_needs_the_token_of_the_page(technician, department):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(technician)

    answer = strict.post(
        reverse("records:submission-create"), {"department": department.pk, "priority": "routine"}
    )

    assert answer.status_code == 403
    assert not Submission.objects.exists()


def test_submit_page_offers_ones_own_departments_and_open_batches(page, department, stranger):
    page.post(
        reverse("records:submission-create"), {"department": department.pk, "priority": "routine"}
    )

    answer = page.get(reverse("records:submit"))

    offered = answer.context["form"].fields["department"].queryset
    assert list(offered) == [department]
    assert len(answer.context["open_submissions"]) == 1


def test_what_is_out_of_sight_is_not_found(client, instance, stranger):
    client.force_login(stranger)

    for name, address in addresses(instance).items():
        assert client.get(address).status_code == 404, name
    assert not client.get(reverse("records:study-list")).context["studies"]
    assert not client.get(reverse("records:patient-list")).context["patients"]


def test_wrong_role_is_refused_and_the_signed_out_are_sent_to_sign_in(client, instance):
    for address in addresses(instance).values():
        assert client.get(address).status_code == 302
    client.force_login(make_user(Role.AUDITOR))
    for address in addresses(instance).values():
        assert client.get(address).status_code == 403


def test_reviewer_sees_studies_but_sends_none(client, instance, department):
    client.force_login(make_user(Role.REVIEWER, department=department))

    assert client.get(addresses(instance)["study"]).status_code == 200
    assert client.get(reverse("records:submit")).status_code == 403
    assert client.post(reverse("records:submission-create")).status_code == 403


def test_study_page_gives_the_viewer_its_slices(page, send):
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    orientation = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    send(
        *[
            (
                str(number),
                make_dicom(
                    InstanceNumber=number,
                    ImagePositionPatient=[0, 0, -number],
                    SeriesNumber=3,
                    SeriesDescription="Lung",
                    WindowCenter=40,
                    WindowWidth=400,
                    **orientation,
                    **uids,
                ),
            )
            for number in (2, 1, 3)
        ],
        ("cine", make_dicom(NumberOfFrames=2, PixelData=bytes(range(256)) * 4, **uids)),
    )
    study = Study.objects.get()

    context = page.get(study.get_absolute_url()).context

    (series,) = context["viewer"]["series"]
    assert series["label"] == "3 · Lung"
    # Along the body, not by number: the positions fall as the numbers rise.
    slices = [(s["number"], s["frame"]) for s in series["slices"]]
    assert slices == [("3", 1), ("2", 1), ("1", 1), ("1/1", 1), ("1/2", 2)]
    assert (series["slices"][0]["center"], series["slices"][0]["width"]) == (40, 400)
    assert context["viewer"]["start"] == {"series": series["id"], "slice": 0}
    assert context["series_list"][0].image_count == 4


def test_study_page_shows_history_and_other_visible_studies(page, instance, department, stranger):
    study = instance.series.study
    prior = make_study(department=department, patient=study.patient)
    make_study(department=stranger.departments.get(), patient=study.patient)

    context = page.get(study.get_absolute_url()).context

    assert list(context["priors"]) == [prior]
    sentences = [line.sentence for line in context["timeline"]]
    assert sentences[0].endswith("looked at the study")
    assert "The study was complete" in sentences
    assert not any("sent a file" in sentence for sentence in sentences)


def test_frame_is_drawn_with_the_window_asked_for(page, instance):
    address = addresses(instance)["frame"]

    plain = page.get(address)
    narrow = page.get(address, {"center": "10", "width": "2"})

    assert plain["Content-Type"] == "image/png"
    assert plain["Cache-Control"].startswith("private")
    drawn = Image.open(io.BytesIO(plain.content))
    assert (drawn.mode, drawn.size) == ("L", (16, 16))
    levels = set(np.asarray(Image.open(io.BytesIO(narrow.content))).flat)
    assert levels <= {0, 128, 255}
    assert AuditEvent.objects.filter(action=Action.IMAGE_VIEWED).count() == 1


def test_values_are_described_and_told(page, instance):
    answer = page.get(reverse("records:frame-values", args=[instance.pk, 1]))

    described = json.loads(answer["Frame-Values"])
    assert (described["kind"], described["rows"], described["columns"]) == ("int16", 16, 16)
    assert len(answer.content) == 2 * 16 * 16
    assert answer["Cache-Control"].startswith("private")
    assert AuditEvent.objects.filter(action=Action.IMAGE_VIEWED).count() == 1
    assert page.get(reverse("records:frame-values", args=[instance.pk, 2])).status_code == 404


@pytest.mark.parametrize("window", ["center=1", "width=1", "center=x&width=1", "center=1&width=0"])
def test_bad_window_is_refused(page, instance, window):
    answer = page.get(f"{addresses(instance)['frame']}?{window}")

    assert answer.status_code == 400


def test_frame_that_is_not_there_is_not_found(page, instance):
    assert page.get(reverse("records:frame-png", args=[instance.pk, 2])).status_code == 404
    assert page.get(reverse("records:frame-png", args=[instance.pk, 0])).status_code == 404


def test_file_comes_back_as_it_was_sent_under_its_uid(page, send):
    content = make_dicom()
    send(("Muster_Erika.dcm", content))
    instance = Instance.objects.get()

    answer = page.get(addresses(instance)["file"])

    assert b"".join(answer.streaming_content) == content
    assert f'filename="{instance.sop_instance_uid}.dcm"' in answer["Content-Disposition"]
    event = AuditEvent.objects.get(action=Action.IMAGE_DOWNLOADED)
    assert (event.target_id, event.study_id) == (str(instance.pk), instance.series.study_id)


def test_views_are_recorded_once_in_five_minutes(page, instance):
    for address in addresses(instance).values():
        for _ in range(2):
            page.get(address)

    for action in (Action.STUDY_VIEWED, Action.PATIENT_VIEWED, Action.IMAGE_VIEWED):
        assert AuditEvent.objects.filter(action=action).count() == 1


def test_search_finds_and_is_recorded_without_what_was_typed(page, department):
    wanted = make_study(department=department, patient=make_patient(name="Grün^Zoë", mrn="Z-1"))
    make_study(department=department, modality="MR")

    for filters in ({"q": "grün"}, {"q": "Z-1"}, {"q": "grün", "modality": "CR"}):
        answer = page.post(reverse("records:study-list"), filters, follow=True)
        assert list(answer.context["studies"]) == [wanted]
    found = page.post(reverse("records:patient-list"), {"q": "Grün, Zoë"}, follow=True)
    assert list(found.context["patients"]) == [wanted.patient]

    events = AuditEvent.objects.filter(action__in=("studies.searched", "patients.searched"))
    assert events.count() == 4
    assert not any("grün" in str(event.details).lower() for event in events)
    assert events.order_by("id")[2].details == {
        "filters": {"q": "text", "modality": "CR"},
        "count": 1,
        "continued": False,
    }


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"modality": "MR"}, {"head"}),
        ({"body_part": "CHEST"}, {"chest"}),
        ({"priority": "urgent"}, {"head"}),
        ({"state": "open"}, set()),
        ({"since": "1"}, {"chest", "head"}),
        ({"modality": "nonsense"}, set()),
    ],
)
def test_filters_narrow_the_list_of_studies(page, department, filters, expected):
    made = {
        "chest": make_study(department=department),
        "head": make_study(
            department=department, modality="MR", body_part="HEAD", priority="urgent"
        ),
    }

    found = page.post(reverse("records:study-list"), filters, follow=True).context["studies"]

    assert {name for name, study in made.items() if study in found} == expected


@pytest.mark.parametrize(
    ("name", "rows"), [("study-list", "studies"), ("patient-list", "patients")]
)
def test_load_more_reaches_every_row_once(page, department, name, rows):
    for number in range(120):
        make_study(department=department, images=0, description=str(number))
    address = reverse(f"records:{name}")

    seen, cursor = [], None
    while True:
        more = {"headers": {"HX-Request": "true"}, "data": {"cursor": cursor}}
        answer = page.post(address, **more) if cursor else page.get(address)
        seen += [row.pk for row in answer.context[rows]]
        cursor = answer.context["next_cursor"]
        if not cursor:
            break

    assert len(seen) == len(set(seen)) == 120
    assert answer.templates[0].name == f"records/_{name.partition('-')[0]}_rows.html"


@pytest.mark.parametrize("many", [2, 40])
def test_pages_cost_the_same_for_many_rows(
    page, department, django_assert_max_num_queries, send, many
):
    patient = make_patient()
    for _ in range(many):
        make_study(department=department, images=0, patient=patient)
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    send(*[(str(n), make_dicom(InstanceNumber=n, **uids)) for n in range(many)])
    study = Study.objects.get(study_instance_uid=uids["StudyInstanceUID"])
    instance = Instance.objects.filter(series__study=study).first()
    assert instance is not None

    with django_assert_max_num_queries(18):
        page.get(reverse("records:study-list"))
    with django_assert_max_num_queries(18):
        page.get(reverse("records:patient-list"))
    with django_assert_max_num_queries(18):
        page.get(addresses(instance)["patient"])
    with django_assert_max_num_queries(23):
        page.get(study.get_absolute_url())
    with django_assert_max_num_queries(19):
        page.get(addresses(instance)["submission"])


def test_patient_counts_only_visible_studies(page, department, stranger):
    patient = make_patient()
    make_study(department=department, patient=patient)
    make_study(department=stranger.departments.get(), patient=patient)

    (row,) = page.get(reverse("records:patient-list")).context["patients"]
    studies = page.get(reverse("records:patient-detail", args=[patient.pk])).context["studies"]

    assert row.study_count == len(studies) == 1
    assert Patient.objects.count() == 1

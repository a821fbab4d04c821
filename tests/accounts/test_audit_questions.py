"""What an auditor asks the trail, in the words that are at hand."""

import csv
import io
import re

import pytest
from django.urls import reverse

from accounts.actions import registry
from accounts.audit import record_event
from accounts.choices import Action
from accounts.models import AuditEvent
from accounts.roles import Role
from records.choices import Action as RecordsAction
from tests.factories import make_department, make_patient, make_study, make_user

LIST = reverse("accounts:audit-list")


@pytest.fixture
def world(db):
    """Two patients with a study each, looked at by two people."""
    department = make_department("Radiology")
    ada = make_user(Role.REVIEWER, department=department, username="ada", full_name="Ada Reader")
    bob = make_user(Role.REVIEWER, department=department, username="bob", full_name="Bob Reader")
    patient = make_patient(mrn="SAMPLE-04", issuer="SAMPLES")
    study = make_study(department=department, patient=patient, images=0, accession_number="ACC-9")
    other = make_study(department=department, images=0, accession_number="ACC-90")
    for person, one in ((ada, study), (bob, other)):
        record_event(action=RecordsAction.STUDY_VIEWED, actor=person, target=one, study=one)
    record_event(
        action=RecordsAction.PATIENT_VIEWED, actor=bob, target=patient, patient_id=patient.pk
    )
    record_event(action=Action.ACCESS_REFUSED, actor=bob, target_id="accounts:user-list")
    return {"study": study, "other": other, "patient": patient, "ada": ada, "bob": bob}


@pytest.fixture
def auditor(client, world):
    client.force_login(make_user(Role.AUDITOR))
    return client


def ask(client, **fields):
    page = client.post(LIST, fields, follow=True)
    assert page.status_code in {200, 400}
    rows = [event for event in page.context["events"] if event.action != Action.AUDIT_VIEWED]
    return page, {(event.actor_name, event.action) for event in rows}


@pytest.mark.parametrize(
    ("about", "found"),
    [
        ("SAMPLE-04", {("Ada Reader", "study.viewed"), ("Bob Reader", "patient.viewed")}),
        (" SAMPLE-04 ", {("Ada Reader", "study.viewed"), ("Bob Reader", "patient.viewed")}),
        ("ACC-9", {("Ada Reader", "study.viewed")}),
        ("ada", {("Ada Reader", "study.viewed")}),
        ("ADA READER", {("Ada Reader", "study.viewed")}),
    ],
)
def test_who_looked_is_asked_by_what_is_at_hand(auditor, about, found):
    page, rows = ask(auditor, about=about, kind="reads")
    assert rows == found
    assert "Events about:" in page.content.decode()


def test_study_instance_uid_finds_its_study(auditor, world):
    _, rows = ask(auditor, about=world["study"].study_instance_uid)
    assert rows == {("Ada Reader", "study.viewed")}


@pytest.mark.parametrize("about", ["SAMPLE-0", "sample-04", "ACC", "nobody", "%", "\\"])
def test_what_is_unknown_shows_nobody_s_events(auditor, about):
    page, rows = ask(auditor, about=about)
    assert rows == set()
    assert "Nobody and nothing is known by that" in page.content.decode()


def test_patient_s_name_is_nowhere_on_the_auditor_s_page(auditor, world):
    page, _ = ask(auditor, about="SAMPLE-04")
    assert world["patient"].display_name not in page.content.decode()


def test_question_is_told_with_its_subjects_and_without_its_text(auditor, world):
    ask(auditor, about="SAMPLE-04")
    event = AuditEvent.objects.filter(action=Action.AUDIT_VIEWED)[0]
    assert event.details["filters"]["about"] == "(text)"
    assert event.details["filters"]["patients"] == str(world["patient"].pk)
    assert "SAMPLE-04" not in str(event.details)
    assert event.searched


def test_address_holds_nothing_of_the_question(auditor):
    answer = auditor.post(LIST, {"about": "SAMPLE-04"})
    assert answer.status_code == 303
    assert "SAMPLE" not in answer["Location"]


def test_presets_narrow(auditor):
    page = auditor.get(LIST)
    for _, query in page.context["presets"]:
        rows = auditor.get(f"{LIST}?{query}").context["events"]
        assert rows, query
    refused = auditor.get(f"{LIST}?kind=refusals").context["events"]
    assert {event.action for event in refused} == {"access.refused"}
    changes = auditor.get(f"{LIST}?kind=changes").context["events"]
    assert not {event.action for event in changes} & (registry.reads | registry.refusals)


def test_rows_lead_on_to_all_of_their_study_patient_and_person(auditor, world):
    page, _ = ask(auditor, about="ACC-9")
    text = page.content.decode()
    pivots = set(re.findall(r'href="(/audit/\?(?:study|patient|actor)=[^"]+)"', text))
    assert pivots == {
        f"/audit/?study={world['study'].pk}",
        f"/audit/?patient={world['patient'].pk}",
        f"/audit/?actor={world['ada'].pk}",
    }
    assert str(world["study"].pk) in text
    for address in pivots:
        assert auditor.get(address).context["events"], address


def test_every_kind_of_look_is_a_read():
    looks = {
        action
        for action, _ in registry.choices()
        if action.endswith((".viewed", "searched", ".listed"))
    }
    assert looks <= registry.reads
    assert not registry.reads & registry.refusals


def test_export_holds_what_is_shown(auditor):
    page, _ = ask(auditor, about="ACC-9")
    form = re.search(r'action="/audit/export/".*?</form>', page.content.decode(), re.DOTALL)
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[0]))
    assert fields["about"] == "ACC-9"
    lines = b"".join(auditor.post(reverse("accounts:audit-export"), fields).streaming_content)
    rows = list(csv.DictReader(io.StringIO(lines.decode().removeprefix("\ufeff"))))
    assert [(row["actor_name"], row["action"]) for row in rows] == [("Ada Reader", "study.viewed")]


def test_enter_in_a_filter_filters(auditor):
    """A form's first submit button is what Enter presses, wherever on the page it stands."""
    text = auditor.get(LIST).content.decode()
    assert 'form="filters"' not in text
    form = re.search(r'<form id="filters".*?</form>', text, re.DOTALL)[0]
    first = re.search(r"<button type=\"submit\"[^>]*>", form)[0]
    assert "formaction" not in first

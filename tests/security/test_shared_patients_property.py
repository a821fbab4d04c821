"""Whatever one department sends, searches and decides, another department's patients stay apart."""

import datetime as dt
from typing import Any

import pytest
from django.db import transaction
from django.urls import reverse
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from accounts.roles import Role
from records.dicom.attributes import Level
from records.dimse.query import find_rows
from records.models import Patient, Study
from tests.factories import make_department, make_node, make_user
from tests.security.doors import DOORS, dicom, everything_seen, last_verdict, uids_of
from tests.security.links import signed_in

# No word or number here stands anywhere else in what a page or an answer holds.
PEOPLE = (
    {"PatientName": "Zwqa^Xixo", "PatientBirthDate": "19310317", "PatientSex": "O"},
    {"PatientName": "Qvuu^Wyjk", "PatientBirthDate": "19320519", "PatientSex": ""},
    {"PatientName": "Jhxx^Kpqz", "PatientBirthDate": "", "PatientSex": "M"},
)
OTHERS = {"PatientName": "Beispiel^Max", "PatientBirthDate": "20010101", "PatientSex": "F"}
UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")

people = st.integers(0, len(PEOPLE) - 1)
statements = st.fixed_dictionaries({}, optional={key: st.sampled_from("to") for key in OTHERS})
sides = st.sampled_from(["held", "sent"])


class Intruder(RuleBasedStateMachine):
    """Department B, with all its doors, pages and roles, beside an A that it can't see."""

    def __init__(self) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block.__enter__()
        self.stated: set[str] = set()
        self.answers: list[str] = []

    @initialize(issuer=st.sampled_from(["", "HOSP"]))
    def begin(self, issuer: str) -> None:
        self.a, self.b = make_department(), make_department()
        self.user = make_user(Role.TECHNICIAN, department=self.b)
        self.user.memberships.create(role=Role.REVIEWER, department=self.b)
        self.client = signed_in(self.user)
        owner = make_user(Role.TECHNICIAN, department=self.a)
        self.issuer, self.uids = issuer, []
        for number, person in enumerate(PEOPLE):
            content = dicom(**person, **self._id(number))
            DOORS["dimse"](signed_in(owner), owner, self.a, content)
            self.uids.append(uids_of(content))
        self.before = self._state()

    def _id(self, number: int) -> dict[str, str]:
        return {"PatientID": f"A-{number}", "IssuerOfPatientID": self.issuer}

    def _state(self) -> list[Any]:
        studies = Study.objects.filter(department=self.a).order_by("pk")
        patients = Patient.objects.filter(studies__department=self.a).order_by("pk").distinct()
        return [list(studies.values()), list(patients.values())]

    def _say(self, number: int, statement: dict[str, str]) -> dict[str, str]:
        """What B states: the truth about a patient of A's, something else, or nothing."""
        said = {
            key: (PEOPLE[number] if which == "t" else OTHERS)[key]
            for key, which in statement.items()
        }
        self.stated |= set(said.values())
        return said

    @rule(
        door=st.sampled_from(sorted(DOORS)),
        number=people,
        statement=statements,
        known=st.sets(st.sampled_from(UIDS)),
    )
    def send(self, door: str, number: int, statement: dict[str, str], known: set[str]) -> None:
        uids = {name: self.uids[number][name] for name in known}
        content = dicom(**self._id(number), **self._say(number, statement), **uids)
        DOORS[door](self.client, self.user, self.b, content)
        verdict = last_verdict(self.b)
        self.answers.append(verdict.message)
        assert verdict.code != "held_by_other_department"

    @rule(
        pick=st.integers(0, 9),
        resolution=st.sampled_from(["merge", "correct", "keep_apart"]),
        name=sides,
        birth_date=sides,
        number=people,
        statement=statements,
    )
    def decide(self, pick, resolution, name, birth_date, number, statement) -> None:
        conflicts = self.client.get("/api/v1/conflicts/?state=open").json()["results"]
        if not conflicts:
            return
        conflict = conflicts[pick % len(conflicts)]
        said = self._say(number, statement)
        born = said.get("PatientBirthDate")
        corrected = {
            "patient_id": f"A-{number}",
            "issuer": self.issuer,
            "name": said.get("PatientName", ""),
            "birth_date": str(dt.date.fromisoformat(born)) if born else None,
            "sex": said.get("PatientSex", ""),
        }
        answer = self.client.post(
            f"/api/v1/conflicts/{conflict['id']}/resolve/",
            {
                "resolution": resolution,
                "reason": "Looked at",
                "name": name,
                "birth_date": birth_date,
                "corrected": corrected,
            },
            content_type="application/json",
        )
        self.answers.append(answer.content.decode())

    @rule(pick=st.integers(0, 9))
    def take_back(self, pick: int) -> None:
        conflicts = self.client.get("/api/v1/conflicts/?state=resolved").json()["results"]
        if conflicts:
            pk = conflicts[pick % len(conflicts)]["id"]
            answer = self.client.post(reverse("records:conflict-reverse", args=[pk]), follow=True)
            self.answers.append(answer.content.decode())

    @rule(number=people)
    def search(self, number: int) -> None:
        """Matching what B hasn't stated finds nothing, so that no search tells what A holds."""
        person = PEOPLE[number]
        node = make_node(department=self.b)
        for key in ("PatientName", "PatientBirthDate"):
            if person[key] and person[key] not in self.stated:
                assert not find_rows(node, Level.STUDY, {key: person[key]}).exists()
                found = self.client.get(f"/dicomweb/studies?{key}={person[key]}")
                assert found.content == b""

    @invariant()
    def nothing_of_a_changes(self) -> None:
        if hasattr(self, "before"):
            assert self._state() == self.before

    @invariant()
    def b_holds_what_b_stated(self) -> None:
        if not hasattr(self, "b"):
            return
        for patient in Patient.objects.filter(studies__department=self.b).distinct():
            assert patient.department_id == self.b.pk
            born = patient.birth_date.strftime("%Y%m%d") if patient.birth_date else ""
            assert {patient.name, born, patient.sex} <= self.stated | {""}

    def teardown(self) -> None:
        try:
            if hasattr(self, "b"):
                self._look_everywhere()
        finally:
            transaction.set_rollback(True)
            self.block.__exit__(None, None, None)

    def _look_everywhere(self) -> None:
        seen = "\n".join([everything_seen(self.client), *self.answers])
        for person in PEOPLE:
            words = dict.fromkeys(person["PatientName"].split("^"), person["PatientName"])
            born = person["PatientBirthDate"]
            if born:
                day = dt.date.fromisoformat(born)
                words |= dict.fromkeys((born, str(day), f"{day:%-d %b %Y}"), born)
            told = [word for word, value in words.items() if word in seen]
            assert [word for word in told if words[word] not in self.stated] == []


@pytest.mark.slow
@pytest.mark.django_db
def test_no_sequence_of_requests_reads_or_changes_another_departments_patient():
    run_state_machine_as_test(
        Intruder,
        settings=settings(
            max_examples=12,
            stateful_step_count=10,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            # Making a failure smaller would take longer than a test may.
            phases=[Phase.generate],
            report_multiple_bugs=False,
        ),
    )

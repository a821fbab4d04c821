"""The walk: every address that shows something, asked again and again by whoever may ask.

Each answer that holds a patient's data has its own word in the trail, or, for a look at the same
thing by the same session from the same address within five minutes, an earlier one. What is
patient data is decided here by what an answer holds, not by what a view says of itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, ReadTally
from accounts.roles import Role
from accounts.services import issue_token
from records.models import Export
from tests import test_access_matrix as matrix
from tests.access_rules import RULES, Rule

make_world = matrix.make_world

SEARCHES = ("-list", ":worklist")
READS = [
    rule
    for rule in RULES
    if rule[1] == "get" or (rule[1] == "post" and ":" in rule[0] and rule[0].endswith(SEARCHES))
]
ABOUT_A_STUDY = matrix.WITHIN_A_DEPARTMENT - {"patient", "submission", "in submission", "upload"}
ABOUT_A_STUDY |= {"quarantined", "hold"}
ABOUT_A_SUBMISSION = {"submission", "in submission", "upload"}
KNOCKS: dict[str, dict[str, Any]] = {
    "at first": {},
    "again": {},
    "with cursor=x": {"query": {"cursor": "x"}},
    "with offset=0": {"query": {"offset": "0"}},
    "with as=row": {"query": {"as": "row"}},
    "with page_size=200": {"query": {"page_size": "200"}},
    "from another address": {"address": "127.0.0.9"},
    "by a second session": {"who": "second session"},
    "by a token": {"who": "token"},
}


@dataclass
class Walker:
    """One person with two sessions and a token, and what was told of each so far."""

    world: Any
    told: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        user = self.world.user
        _, value = issue_token(actor=user, user=user, name="walk", days=1)
        self.clients = {"session": Client(), "second session": Client()}
        for client in self.clients.values():
            client.force_login(user)
        self.clients["token"] = Client(headers={"Authorization": f"Token {value}"})

    def knock(
        self, rule: Rule, *, who: str = "session", address: str = "127.0.0.1", query: Any = None
    ) -> tuple[HttpResponse, bytes]:
        """Ask, and read the answer to its end."""
        name, method, _, target = rule
        path = reverse(name, kwargs=matrix.TARGETS[target](self.world) if target else {})
        given = {"REMOTE_ADDR": address, "HTTP_ACCEPT": "*/*"}
        client = self.clients[who]
        answer = getattr(client, method)(path, query or {}, **given)
        return answer, answer.getvalue()


def secrets_of(world: Any) -> list[str]:
    """What tells an answer about a patient from any other."""
    studies = (world.study, world.deleted_study)
    found = [text for one in studies for text in (one.patient.mrn, one.patient.display_name)]
    return found + [one.study_instance_uid for one in studies]


def holds_patient_data(rule: Rule, answer: HttpResponse, body: bytes, world: Any) -> bool:
    if answer.status_code not in {200, 206, 304}:
        return False
    if rule[3] in ABOUT_A_STUDY | ABOUT_A_SUBMISSION | {"patient"}:
        return True
    return any(text.encode() in body for text in secrets_of(world))


def leaves(answer: HttpResponse) -> bool:
    """Whether it is bytes rather than a page or a record."""
    media_type = answer["Content-Type"].partition(";")[0]
    return media_type not in {"text/html", "application/json", "application/dicom+json"}


def names_what_was_shown(event: AuditEvent, rule: Rule, world: Any) -> bool:
    if rule[3] in ABOUT_A_STUDY | {"movable study"}:
        return bool(event.study_id and event.patient_id)
    if rule[3] in ABOUT_A_SUBMISSION:
        return event.target_id == str(world.submission_id)
    if rule[3] == "patient":
        return event.patient_id == world.study.patient_id
    return bool("count" in event.details)


def tallied() -> dict[str, int]:
    return {row.key: row.size_bytes for row in ReadTally.objects.all()}


@pytest.fixture
def roles_that_may() -> Callable[[Rule], Iterator[Role]]:
    def find(rule: Rule) -> Iterator[Role]:
        return (role for role in Role if matrix.may(role, rule[2]))

    return find


@pytest.mark.parametrize("rule", READS, ids=matrix.rule_id)
def test_nothing_is_seen_without_a_word_in_the_trail(make_world, roles_that_may, rule):
    untold = []
    for role in roles_that_may(rule):
        walker = Walker(make_world(role))
        for knock, options in KNOCKS.items():
            last = AuditEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0
            before = tallied()
            answer, body = walker.knock(rule, **options)
            assert answer.status_code < 500, (role, knock)
            if not holds_patient_data(rule, answer, body, walker.world):
                continue
            events = AuditEvent.objects.filter(id__gt=last, actor_id=walker.world.user.pk)
            is_told = any(names_what_was_shown(event, rule, walker.world) for event in events)
            caller = options.get("who", "session"), options.get("address", "127.0.0.1")
            is_of_a_list = not rule[3]
            if is_told:
                walker.told.add(caller)
            is_known = caller in walker.told and not is_of_a_list
            if leaves(answer):
                added = sum(tallied().values()) - sum(before.values())
                ended = sum(event.details.get("bytes", 0) for event in events)
                is_known = is_known and len(body) == added + ended
            if not (is_told or is_known):
                untold.append((role.value, knock))
    assert not untold


def test_a_whole_study_after_one_of_its_frames_is_told_by_session_and_by_token(make_world):
    walker = Walker(make_world(Role.REVIEWER))
    rules = {rule[0]: rule for rule in RULES if rule[1] == "get"}
    walker.knock(rules["api-dicomweb-frames"])
    for who in ("session", "session", "second session", "token"):
        walker.knock(rules["api-dicomweb-study"], who=who)

    whole = AuditEvent.objects.filter(action="study.retrieved")
    assert [event.details["instances"] for event in whole] == [1, 1, 1, 1]
    assert len({(event.session_id, event.token_id) for event in whole}) == 3


def test_a_copy_of_several_studies_names_each_of_them(make_world):
    walker = Walker(make_world(Role.REVIEWER))
    export = Export.objects.get(pk=walker.world.export_id)
    other = make_world(Role.REVIEWER).study
    export.studies.add(other)
    walker.clients["session"].get(export.get_absolute_url())

    seen = AuditEvent.objects.filter(action="export.viewed")
    assert {event.study_id for event in seen} == {walker.world.study.pk, other.pk}


@pytest.mark.parametrize("text", ["", "nobody has this name"])
def test_a_search_that_finds_nothing_is_told_too(make_world, text):
    walker = Walker(make_world(Role.REVIEWER))
    for name in ("records:study-list", "records:patient-list", "classifier:worklist"):
        walker.clients["session"].post(reverse(name), {"q": text or "x" * 200}, follow=True)

    told = AuditEvent.objects.filter(action__in=("studies.searched", "patients.searched"))
    assert [event.details["count"] for event in told] == [0, 0, 0]

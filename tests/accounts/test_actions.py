"""Each app registers its own actions: told, found and put into words without a migration."""

import copy
import datetime as dt
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from accounts.actions import LONGEST_ACTION, ActionRegistry, AuditAction, registry
from accounts.audit import record_event
from accounts.choices import Action
from accounts.models import AuditEvent
from accounts.services import flush_refusals, note_refusal
from accounts.trail_csv import csv_lines
from medimaging.choices import Action as PlatformAction
from tests.product import ROOT

TRAIL = reverse("accounts:audit-list")
API = "/api/v1/audit-events/"

SECOND_APP = """
from django.apps import AppConfig

class SecondConfig(AppConfig):
    name = "second"

    def ready(self):
        from accounts.actions import AuditAction, registry

        class Action(AuditAction):
            STUDY_VIEWED = "study.viewed", "Seen once more"

        registry.register(Action, sentences={Action.STUDY_VIEWED: "{actor} looked again"})
"""


class ToyAction(AuditAction):
    """What happens in an app of which accounts knows nothing."""

    WOUND_UP = "toy.wound_up", "Toy wound up"
    VIEWED = "toy.viewed", "Toy viewed"
    TAKEN_AWAY = "toy.taken_away", "Toy taken away from a child"


def describe_winding(words: Any) -> str:
    return f"{words['actor']} turned the key {words['turns']} times"


SENTENCES = {
    ToyAction.WOUND_UP: describe_winding,
    ToyAction.VIEWED: "{actor} looked at the {toy}",
    ToyAction.TAKEN_AWAY: "{actor} may not play",
}


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch, technician: Any) -> None:
    """An app with toys, installed for as long as the test runs, and what it told."""
    for name, held in vars(registry).items():
        monkeypatch.setattr(registry, name, copy.copy(held))
    registry.register(
        ToyAction,
        sentences=SENTENCES,
        reads=frozenset({ToyAction.VIEWED}),
        refusals=frozenset({ToyAction.TAKEN_AWAY}),
    )
    record_event(action=ToyAction.WOUND_UP, actor=technician, details={"turns": 3})
    record_event(action=ToyAction.VIEWED, actor=technician, details={"toy": "train"})
    note_refusal(actor=technician, kind=ToyAction.TAKEN_AWAY)


@pytest.fixture
def auditing(client: Any, auditor: Any) -> Any:
    client.force_login(auditor)
    return client


@pytest.mark.parametrize(
    ("query", "sentences"),
    [
        ("action=toy.wound_up", ["Tina Technician turned the key 3 times"]),
        ("kind=reads&actor=tina", ["Tina Technician looked at the train"]),
        ("kind=changes&actor=tina", ["Tina Technician turned the key 3 times"]),
        ("kind=refusals&actor=tina", ["Tina Technician may not play"]),
    ],
)
def test_a_new_app_s_action_is_found_and_told_in_its_sentence(toys, auditing, query, sentences):
    page = auditing.get(f"{TRAIL}?{query}")
    assert [event.sentence for event in page.context["events"]] == sentences
    assert all(sentence in page.content.decode() for sentence in sentences)
    assert '<option value="toy.wound_up"' in page.content.decode()

    answer = auditing.get(f"{API}?{query}").json()
    assert [event["sentence"] for event in answer["results"]] == sentences


def test_a_new_app_s_action_is_exported_with_its_sentence(toys):
    (event,) = AuditEvent.objects.filter(action=ToyAction.VIEWED)
    assert event.action_words == "Toy viewed"
    _, line = csv_lines([event])
    assert ",toy.viewed,Success,Tina Technician looked at the train," in line


def test_a_new_app_s_refusals_are_counted_and_summed_up(toys, technician, monkeypatch):
    note_refusal(actor=technician, kind=ToyAction.TAKEN_AWAY)
    later = timezone.now() + dt.timedelta(hours=2)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert flush_refusals() == 1
    summed_up = AuditEvent.objects.get(action=ToyAction.TAKEN_AWAY, details__times=1)
    assert "Toy taken away from a child, counted 1 more times" in summed_up.sentence


def test_a_new_app_s_actions_need_no_migration(toys):
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)


def test_an_unknown_action_is_no_filter(auditing):
    answer = auditing.get(f"{API}?action=toy.wound_up")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert auditing.get(f"{TRAIL}?action=toy.wound_up").status_code == 400


def test_an_event_of_an_action_that_no_app_has_stands_as_it_is():
    event = AuditEvent(action="toy.wound_up", actor_name="Tina", details={"turns": 3})
    assert (event.action_words, event.sentence) == ("toy.wound_up", "Tina: toy.wound_up")


def test_every_action_of_the_product_has_a_title_and_a_sentence():
    actions = dict(registry.choices())
    assert {Action.SIGNED_IN, PlatformAction.BACKUP_MADE, "study.viewed", "model.deployed"} <= set(
        actions
    )
    assert all(actions.values())
    assert all(registry.sentence_of(action) for action in actions)
    assert list(actions) == sorted(actions)


def make_enum(*values: str) -> Any:
    return AuditAction("Made", {f"MADE_{number}": value for number, value in enumerate(values)})


@pytest.mark.parametrize(
    ("values", "sentences", "fault"),
    [
        (["toy.viewed"], {"toy.viewed": "{actor} looked"}, "toy.viewed is an action of"),
        (["Toy.Viewed"], {"Toy.Viewed": "{actor} looked"}, "isn't a noun, a full stop and a verb"),
        (["toy"], {"toy": "{actor} looked"}, "isn't a noun, a full stop and a verb"),
        (["toy.made"], {}, "toy.made has no sentence"),
        (["toy.made"], {"toy.made": " "}, "the sentence of toy.made can't be filled"),
        (["toy.made"], {"toy.made": "{actor made"}, "the sentence of toy.made can't be filled"),
        (["toy.made"], {"toy.made": "{} made"}, "the sentence of toy.made can't be filled"),
        (["toy.made"], {"toy.made": "{a.b} made"}, "the sentence of toy.made can't be filled"),
        (["toy.made"], {"toy.made": "x", "toy.mad": "x"}, "toy.mad isn't its action"),
    ],
)
def test_what_is_taken_malformed_or_without_words_is_refused(values, sentences, fault):
    holding = ActionRegistry()
    holding.register(ToyAction, sentences=SENTENCES)
    with pytest.raises(ImproperlyConfigured, match="Made: ") as refused:
        holding.register(make_enum(*values), sentences=sentences)
    assert fault in str(refused.value)
    assert [value for value, _ in holding.choices()] == sorted(ToyAction.values)


def test_the_longest_action_fits_the_column_and_a_longer_one_is_refused():
    longest = "toy." + "x" * (LONGEST_ACTION - 4)
    assert AuditEvent._meta.get_field("action").max_length == LONGEST_ACTION
    ActionRegistry().register(make_enum(longest), sentences={longest: "x"})
    with pytest.raises(ImproperlyConfigured, match="more than 40 letters"):
        ActionRegistry().register(make_enum(f"{longest}x"), sentences={f"{longest}x": "x"})


def test_an_action_is_a_read_a_refusal_or_a_change_of_its_own_app():
    both = frozenset({ToyAction.VIEWED})
    with pytest.raises(ImproperlyConfigured, match=r"toy\.viewed is a read and a refusal"):
        ActionRegistry().register(ToyAction, sentences=SENTENCES, reads=both, refusals=both)
    foreign: Any = frozenset({Action.AUDIT_VIEWED})
    with pytest.raises(ImproperlyConfigured, match=r"audit\.viewed isn't its action"):
        ActionRegistry().register(ToyAction, sentences=SENTENCES, reads=foreign)


def test_registering_again_changes_nothing():
    holding = ActionRegistry()
    for _ in range(2):
        holding.register(ToyAction, sentences=SENTENCES)
    assert len(holding.choices()) == len(ToyAction)


def test_actions_of_an_app_that_registers_none_are_reported(monkeypatch):
    assert not [error for error in run_checks() if error.id == "medimaging.E008"]
    monkeypatch.setattr(registry, "_enums", [])
    reported = [error.msg for error in run_checks() if error.id == "medimaging.E008"]
    assert "records.choices.Action isn't registered with the audit trail." in reported
    assert not any("ToyAction" in message for message in reported)  # of no installed app


def test_no_process_starts_with_an_action_that_two_apps_have(tmp_path: Path):
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "__init__.py").touch()
    (tmp_path / "second" / "apps.py").write_text(SECOND_APP)
    (tmp_path / "second_settings.py").write_text(
        "from medimaging.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'second']\n"
    )
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "second_settings",
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
    }
    command = [sys.executable, "-c", "import django; django.setup()"]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "study.viewed is an action of records.choices.Action already" in done.stderr

"""What begins to be wrong is said once, and once more when it is right, however many look."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from medimaging import conditions
from medimaging.conditions import KEY, ConditionLog
from medimaging.health import PROBES, Part, State, parts
from medimaging.heartbeats import connect

LOW = Part("room", State.DEGRADED, "storage_low", "The disk is nearly full.", "Make room.")
ROOM = Part("room", State.OK, "ok", "There is room.")
AWAY = Part("database", State.DOWN, "database_unavailable", "PostgreSQL is away.", "Look at it.")
SILENT = Part("database", State.UNKNOWN, "no_answer", "No answer in time.", "Look again.")
THERE = Part("database", State.OK, "ok", "PostgreSQL answers.")


@pytest.fixture(autouse=True)
def _nothing_stands(embedded_services: None) -> Iterator[None]:
    with connect() as client:
        client.delete(KEY)
        yield
        client.delete(KEY)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger=conditions.__name__)

    def read() -> list[tuple[str, str]]:
        """Code and what became of it, of each line since the last reading."""
        lines = [record.fields for record in caplog.records if record.name == conditions.__name__]
        caplog.clear()
        return [(fields["code"], fields["condition"]) for fields in lines]

    return read


def test_a_condition_is_said_once_when_it_begins_and_once_when_it_ends(said) -> None:
    one, other = ConditionLog(), ConditionLog()

    for log in (one, other, one, other):
        log.note([LOW, THERE])
    assert said() == [("storage_low", "began")]

    for log in (other, one, other):
        log.note([ROOM, THERE])
    assert said() == [("storage_low", "ended")]


def test_a_process_that_starts_later_says_nothing_again_and_can_say_the_end(said) -> None:
    ConditionLog().note([LOW])
    said()

    later = ConditionLog()
    later.note([LOW])
    assert said() == []
    later.note([ROOM])
    assert said() == [("storage_low", "ended")]


def test_conditions_of_one_part_are_apart(said) -> None:
    log = ConditionLog()
    log.note([LOW, AWAY])
    log.note([replace(LOW, code="room_unreadable"), AWAY])

    assert said() == [
        ("storage_low", "began"),
        ("database_unavailable", "began"),
        ("room_unreadable", "began"),
        ("storage_low", "ended"),
    ]


def test_one_missing_answer_is_chance_and_two_are_a_condition(said) -> None:
    log = ConditionLog()
    log.note([THERE])
    log.note([SILENT])
    log.note([THERE])
    assert said() == []

    log.note([SILENT])
    log.note([SILENT])
    assert said() == [("no_answer", "began")]
    log.note([THERE])
    assert said() == [("no_answer", "ended")]


def test_what_stands_has_not_ended_because_nobody_could_tell(said) -> None:
    log = ConditionLog()
    log.note([AWAY])
    log.note([SILENT])
    assert said() == [("database_unavailable", "began")]

    log.note([THERE])
    assert said() == [("database_unavailable", "ended")]


def test_without_redis_a_process_goes_on_by_itself_and_hands_over_afterwards(
    said, settings
) -> None:
    log, other = ConditionLog(), ConditionLog()
    address = settings.REDIS_URL
    log.note([LOW, THERE])
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    for _ in range(2):
        log.note([LOW, AWAY])
    assert said() == [("storage_low", "began"), ("database_unavailable", "began")]

    settings.REDIS_URL = address
    log.note([LOW, AWAY])
    other.note([LOW, AWAY])
    assert said() == []
    other.note([ROOM, THERE])
    log.note([ROOM, THERE])
    assert sorted(said()) == [("database_unavailable", "ended"), ("storage_low", "ended")]


def test_what_ended_while_redis_forgot_it_is_said_once(said, settings) -> None:
    log = ConditionLog()
    address = settings.REDIS_URL
    log.note([LOW])
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    log.note([LOW])
    settings.REDIS_URL = address
    with connect() as client:
        client.delete(KEY)
    log.note([ROOM])
    log.note([ROOM])

    assert said() == [("storage_low", "began"), ("storage_low", "ended")]


@pytest.mark.django_db(transaction=True)
def test_a_disk_that_is_full_is_said_by_the_housekeeping(said, settings) -> None:
    from medimaging.tasks import note_conditions

    note_conditions()
    said()
    settings.INTAKE_MIN_FREE_BYTES = 10**18
    for _ in range(3):
        note_conditions()
    assert said() == [("storage_low", "began")]

    settings.INTAKE_MIN_FREE_BYTES = 0
    note_conditions()
    assert said() == [("storage_low", "ended")]


@pytest.mark.django_db(transaction=True)
def test_each_part_that_can_be_asked_is_watched() -> None:
    assert {part.name for part in parts(deadline_s=5)} == set(PROBES)

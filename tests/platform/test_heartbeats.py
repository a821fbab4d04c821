"""Who lives: said in Redis by each process, read by its clock."""

import time
import uuid

import pytest
import redis

from accounts.processes import name_process
from medimaging import heartbeats
from medimaging.release import VERSION

pytestmark = pytest.mark.usefixtures("embedded_services")


@pytest.fixture(autouse=True)
def _nobody_lives(monkeypatch):
    # Another test of this process may have begun to say so, or have a server that goes on doing so.
    heartbeats.stop_beating()
    monkeypatch.setattr(heartbeats, "INDEX", f"tests:heartbeats:{uuid.uuid4()}")
    yield
    name_process("command")


def test_heartbeats_tell_who_lives_and_since_when():
    name = name_process("worker")
    heartbeats.beat(queues=("urgent", "routine"), work=heartbeats.Work("classify_next", 7))

    (said,) = heartbeats.heartbeats()

    assert (said.name, said.role, said.version) == (name, "worker", VERSION)
    assert said.queues == ("urgent", "routine")
    assert name.startswith("worker@")
    assert said.started_at < said.beat_at
    assert abs(said.clock_offset_s) < 1
    assert said.rss_bytes > 10_000_000
    assert said.doing == "classify_next"
    assert (said.beat_at - said.doing_since).total_seconds() == pytest.approx(7, abs=0.01)
    assert said.age_s < 5
    assert not said.is_silent


def test_heartbeats_say_who_fell_silent_by_the_age_in_redis(settings):
    name_process("beat")
    heartbeats.beat()
    settings.HEARTBEAT_SILENT_SECONDS = 0.05
    time.sleep(0.1)

    assert [one.is_silent for one in heartbeats.heartbeats()] == [True]


def test_heartbeats_forget_who_has_ended(monkeypatch):
    name_process("web")
    heartbeats.beat()
    heartbeats.fall_silent()
    assert heartbeats.heartbeats() == []
    monkeypatch.setattr(heartbeats, "KEPT_S", 1)
    heartbeats.beat()
    time.sleep(1.1)
    assert heartbeats.heartbeats() == []


def test_heartbeats_of_two_processes_stand_side_by_side():
    for role in ("worker", "background"):
        name_process(role)
        heartbeats.beat()

    assert [one.role for one in heartbeats.heartbeats()] == ["background", "worker"]


def test_beat_says_so_when_redis_is_away(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(redis.ConnectionError):
        heartbeats.beat()


@pytest.mark.parametrize(("ahead", "word"), [(3.0, "ahead of"), (-600.0, "behind")])
def test_a_clock_that_is_off_is_named_once(monkeypatch, caplog, ahead, word):
    wall = time.time
    watch = heartbeats.ClockWatch()
    watch.note(heartbeats.beat())
    assert not caplog.records
    monkeypatch.setattr(heartbeats.time, "time", lambda: wall() + ahead)
    for _ in range(2):
        watch.note(heartbeats.beat())
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("clock_off: ")
    assert f"{abs(ahead)} s {word} Redis's" in line
    assert heartbeats.heartbeats()[0].is_clock_off

"""The broker is away or says nothing: what a ring costs, and that the bell rings again."""

import time
import uuid
from collections.abc import Iterator

import pytest
from celery import current_app

from accounts.doorbell import Bell, Ringer
from tests.stopped import servers, stopped

QUEUE = f"bells-of-{uuid.uuid4().hex[:8]}"


def new_bell() -> Bell:
    return Bell("a.task", (uuid.uuid4().hex,), QUEUE, at_most=1000)


def rung() -> int:
    with current_app.connection_for_write() as connection:
        return connection.default_channel.client.llen(QUEUE)


def wait_until_rung(ringer: Ringer) -> None:
    deadline = time.monotonic() + 10
    while not ringer.ring(new_bell()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def ringer(embedded_services: None) -> Iterator[Ringer]:
    """One that has rung before, so that its thread and its connection are there."""
    ringer = Ringer()
    wait_until_rung(ringer)
    yield ringer
    ringer.finish()


def test_a_bell_has_rung_when_the_broker_is_there(ringer: Ringer) -> None:
    before = rung()

    wait_until_rung(ringer)

    assert rung() > before


def test_a_silent_broker_costs_the_first_bell_little_and_the_others_nothing(
    ringer: Ringer,
) -> None:
    with stopped(servers("redis-server")):
        began = time.monotonic()
        assert not ringer.ring(new_bell())
        first = time.monotonic() - began
        for _ in range(50):
            assert not ringer.ring(new_bell())
        others = time.monotonic() - began - first

    assert first < 0.1
    assert others < 0.1
    wait_until_rung(ringer)


def test_a_broker_that_is_gone_costs_nothing_and_is_rung_once_it_is_back(
    ringer: Ringer, monkeypatch: pytest.MonkeyPatch, settings
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise ConnectionRefusedError

    address = settings.REDIS_URL
    settings.REDIS_URL = "unix:///nowhere/redis.sock?db=0"
    with monkeypatch.context() as patch:
        patch.setattr(current_app, "send_task", refuse)
        began = time.monotonic()
        for _ in range(20):
            assert not ringer.ring(new_bell())
        assert time.monotonic() - began < 0.2

    assert not ringer.ring(new_bell())
    settings.REDIS_URL = address
    wait_until_rung(ringer)

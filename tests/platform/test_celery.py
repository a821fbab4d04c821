"""The queue's promises: urgent first, and a dead broker costs a moment, not a request."""

import time

import pytest
from celery import current_app
from kombu import Consumer, Queue
from kombu.exceptions import OperationalError

from medimaging.celery import app
from medimaging.quickstart.stack import BACKGROUND_QUEUES, CLASSIFICATION_QUEUES


def test_tasks_are_known_under_the_names_that_the_schedule_uses(settings) -> None:
    app.loader.import_default_modules()

    assert current_app.main == "medimaging"
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        assert entry["task"] in app.tasks
        assert entry["options"]["queue"] in BACKGROUND_QUEUES


def test_a_worker_takes_urgent_before_routine_whatever_came_first(
    embedded_services: None,
) -> None:
    with app.connection_for_write() as connection:
        for name in CLASSIFICATION_QUEUES:
            connection.default_channel.queue_purge(name)
    for queue in ("routine", "urgent", "urgent", "urgent"):
        app.send_task(f"a.task.of.{queue}", queue=queue)

    assert taken() == ["urgent", "urgent", "urgent", "routine"]


def taken() -> list[str]:
    """The queues of the waiting messages, in the order in which a worker gets them."""
    seen: list[str] = []
    with app.connection_for_read() as connection:
        consumer = Consumer(
            connection,
            queues=[Queue(name, routing_key=name) for name in CLASSIFICATION_QUEUES],
            accept=["json"],
            on_message=lambda message: (
                seen.append(message.headers["task"].rpartition(".")[2]),
                message.ack(),
            ),
        )
        consumer.qos(prefetch_count=1)
        with consumer:
            while len(seen) < 4:
                connection.drain_events(timeout=5)
    return seen


@pytest.mark.parametrize("address", ["redis+socket:///nowhere/redis.sock", "redis://127.0.0.1:1/0"])
def test_ringing_fails_at_once_when_the_broker_is_down(address: str) -> None:
    started = time.monotonic()

    with app.connection_for_write(address) as connection, pytest.raises(OperationalError):
        app.send_task("a.task", queue="routine", connection=connection)

    assert time.monotonic() - started < 3

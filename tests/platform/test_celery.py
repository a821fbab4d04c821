"""The queue's promises: urgent first, and a dead broker costs a moment, not a request."""

import time

import pytest
import yaml
from celery import current_app
from kombu import Consumer, Queue
from kombu.exceptions import OperationalError

from accounts import doorbell
from accounts.services import mails
from classifier.doorbell import QUEUES, ring
from medimaging.celery import app
from medimaging.quickstart.stack import (
    BACKGROUND_PROCESSES,
    BACKGROUND_QUEUES,
    CLASSIFICATION_QUEUES,
)
from records.services import exports
from tests.product import ROOT


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


def test_a_bell_that_lies_there_serves_for_all_that_comes_after_it(embedded_services: None) -> None:
    with app.connection_for_write() as connection:
        for name in ("urgent", "housekeeping"):
            connection.default_channel.queue_purge(name)

    for _ in range(50):
        ring(priority="urgent")
        doorbell.ring(task="a.task.of.mail", queue="housekeeping", at_most=3)

    doorbell.finish_ringing()
    with app.producer_or_acquire() as producer:
        bells = [doorbell.count_bells(producer, name) for name in ("urgent", "housekeeping")]
    assert bells == [1, 3]


def test_what_people_wait_for_has_a_worker_of_its_own(settings) -> None:
    rung = {entry["options"]["queue"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert set(CLASSIFICATION_QUEUES) == QUEUES
    assert set(BACKGROUND_QUEUES) == rung | {mails.QUEUE, exports.QUEUE}
    assert not set(CLASSIFICATION_QUEUES) & set(BACKGROUND_QUEUES)
    assert settings.CELERY_TASK_DEFAULT_QUEUE in BACKGROUND_QUEUES


def test_containers_take_the_same_queues_as_the_quickstart() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for service, queues in (("worker", CLASSIFICATION_QUEUES), ("background", BACKGROUND_QUEUES)):
        assert f"--queues={','.join(queues)}" in compose[service]["command"]
    assert f'"{",".join(CLASSIFICATION_QUEUES)}"' in (ROOT / "Dockerfile").read_text()
    assert f"--concurrency={BACKGROUND_PROCESSES}" in compose["background"]["command"]


@pytest.mark.parametrize("address", ["redis+socket:///nowhere/redis.sock", "redis://127.0.0.1:1/0"])
def test_ringing_fails_at_once_when_the_broker_is_down(address: str) -> None:
    started = time.monotonic()

    with app.connection_for_write(address) as connection, pytest.raises(OperationalError):
        app.send_task("a.task", queue="routine", connection=connection)

    assert time.monotonic() - started < 3

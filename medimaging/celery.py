"""The Celery application. Its settings are the CELERY_* ones of `medimaging.settings`."""

import logging
import os
from typing import Any

from celery import Celery, Task
from celery.signals import (
    celeryd_after_setup,
    celeryd_init,
    setup_logging,
    worker_process_init,
    worker_ready,
    worker_shutting_down,
)
from django.db import DatabaseError, InterfaceError

from accounts.outages import is_database_outage, note_outage

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medimaging.settings")

logger = logging.getLogger(__name__)


class OutlivingTask(Task):
    """A task that an outage of the database ends quietly: a sweeper rings for it again."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it."""
        try:
            return super().__call__(*args, **kwargs)
        except (DatabaseError, InterfaceError) as error:
            if not is_database_outage(error):
                raise
            note_outage()
            logger.warning("database_unavailable: %s is done later", self.name)
            return None


app = Celery("medimaging", task_cls=OutlivingTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add("medimaging.hearing:WorkerWatch")
app.steps["consumer"].add("medimaging.hearing:ConsumerWatch")


@setup_logging.connect
def keep_log_settings(**_: Any) -> None:
    """Leave the log to LOGGING: Celery sets nothing up once somebody listens to this signal."""


@celeryd_after_setup.connect
def name_worker(instance: Any, **_: Any) -> None:
    """Name this process before it forks: what its children do is done in its name."""
    from accounts.processes import name_process
    from classifier.doorbell import QUEUES

    queues = frozenset(instance.app.amqp.queues.consume_from)
    name_process("worker" if queues & QUEUES else "background")
    _require_key(is_classifying_only=queues <= QUEUES)


def _require_key(*, is_classifying_only: bool) -> None:
    """End a worker that would work with the key in the source.

    Housekeeping signs links and makes pseudonyms; who only reads images needs no more than what
    digests and the audit trail's seals are made with.
    """
    from django.conf import settings

    from medimaging import configuration

    if settings.DIGEST_KEY == settings.INSECURE_SECRET_KEY and is_classifying_only:
        configuration.stop_without("DIGEST_KEY", "what a worker seals could be read by anybody")
    if settings.SECRET_KEY == settings.INSECURE_SECRET_KEY and not is_classifying_only:
        configuration.stop_without("SECRET_KEY", "a worker would sign links for anybody")


@worker_ready.connect
def tell_release(**_: Any) -> None:
    """Say once in the log who works here, and by which release."""
    from accounts.processes import process_name
    from medimaging.release import VERSION

    logger.info("%s is ready (release %s)", process_name(), VERSION)


@worker_shutting_down.connect
def see_to_the_end(**_: Any) -> None:
    """From the moment that a worker is asked to stop, it does."""
    from medimaging import hearing

    hearing.see_to_the_end()


@celeryd_init.connect
def begin_counting(**_: Any) -> None:
    """Have the pool's processes count where this one finds it: they are started after this."""
    from medimaging.metrics import processes

    processes.begin()


@worker_process_init.connect
def load_decoders(**_: Any) -> None:
    """Have the decoders load beside the inference engine: a worker's first study needs both."""
    from accounts.processes import process_role
    from records.files.sandboxed import sandbox

    if process_role() == "worker":
        sandbox.pool.start()


@worker_ready.connect
def announce_store(**_: Any) -> None:
    """Say at once what is wrong with the store: who starts a worker looks at its log."""
    from records.files import stores

    stores.announce_store()

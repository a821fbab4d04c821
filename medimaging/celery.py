"""The Celery application. Its settings are the CELERY_* ones of `medimaging.settings`."""

import logging
import os
from typing import Any

from celery import Celery, Task
from celery.signals import setup_logging, worker_process_init
from django.db import DatabaseError, InterfaceError

from accounts.outages import is_database_outage, note_outage

logger = logging.getLogger(__name__)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medimaging.settings")


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


@setup_logging.connect
def keep_log_settings(**_: Any) -> None:
    """Leave the log to LOGGING: Celery sets nothing up once somebody listens to this signal."""


@worker_process_init.connect
def load_decoders(**_: Any) -> None:
    """Have the decoders load beside the inference engine: a worker's first study needs both."""
    from records.intake.isolation.calls import pool

    pool.start()

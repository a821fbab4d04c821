"""The Celery application. Its settings are the CELERY_* ones of `medimaging.settings`."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_init, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medimaging.settings")

app = Celery("medimaging")
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


@worker_ready.connect
def announce_store(**_: Any) -> None:
    """Say at once what is wrong with the store: who starts a worker looks at its log."""
    from records import stores

    stores.announce_store()

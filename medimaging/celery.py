"""The Celery application. Its settings are the CELERY_* ones of `medimaging.settings`."""

import os
from typing import Any

from celery import Celery
from celery.signals import celeryd_init, setup_logging, worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medimaging.settings")

app = Celery("medimaging")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_log_settings(**_: Any) -> None:
    """Leave the log to LOGGING: Celery sets nothing up once somebody listens to this signal."""


@celeryd_init.connect
def begin_counting(**_: Any) -> None:
    """Have the pool's processes count where this one finds it: they are started after this."""
    from medimaging.metrics import processes

    processes.begin()


@worker_process_init.connect
def load_decoders(**_: Any) -> None:
    """Have the decoders load beside the inference engine: a worker's first study needs both."""
    from records.intake.isolation.calls import pool

    pool.start()

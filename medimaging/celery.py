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
def require_key(**_: Any) -> None:
    """End a worker that would sign links and make pseudonyms with the key in the source."""
    from django.conf import settings

    from medimaging import configuration

    if settings.SECRET_KEY == settings.INSECURE_SECRET_KEY:
        configuration.stop_without("SECRET_KEY", "a worker would sign links for anybody")


@worker_process_init.connect
def load_decoders(**_: Any) -> None:
    """Have the decoders load beside the inference engine: a worker's first study needs both."""
    from records.intake.isolation.calls import pool

    pool.start()

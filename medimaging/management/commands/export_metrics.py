"""`manage.py export_metrics`: tell Prometheus how the whole site is, until SIGTERM or Ctrl-C."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from medimaging.conditions import conditions
from medimaging.metrics import processes, site


class Command(BaseCommand):
    help = "Tell Prometheus, on METRICS_PORT, how the whole site is. Run one of it."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = settings.METRICS_HOST, settings.METRICS_PORT
        if not port:
            raise CommandError("METRICS_PORT is 0: set it to the port to listen on.")
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        try:
            processes.serve(site.site_registry())
        except OSError as error:
            raise CommandError(f"Can't listen on {host}, port {port}: {error}") from error
        self.stdout.write(f"Figures for Prometheus: http://{host}:{port}/metrics")
        while not stop.wait(settings.CONDITION_SECONDS):
            conditions.look()

"""`manage.py dicom_scp`: listen for DICOM associations until SIGTERM or Ctrl-C."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from records.dimse.encryption import tls_as_listener
from records.dimse.server import make_server
from records.files.stores import announce_store

DEFAULT_PORT = 11112
EX_CONFIG = 78
TLS_UNUSABLE = "DICOM_TLS_CERTIFICATE, DICOM_TLS_KEY or DICOM_TLS_CLIENT_CA can't be used"
KEY_MISSING = (
    "Set DIGEST_KEY: without it anybody could find names that must not be written down, from "
    "their digests."
)


class Command(BaseCommand):
    help = "Take DICOM associations: C-ECHO, C-STORE, C-FIND, C-MOVE and C-GET."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.DICOM_HOST)
        parser.add_argument("--port", type=int, default=settings.DICOM_PORT or DEFAULT_PORT)

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], options["port"]
        if settings.DIGEST_KEY == settings.INSECURE_SECRET_KEY:
            raise CommandError(KEY_MISSING, returncode=EX_CONFIG)
        try:
            tls_as_listener()
        except OSError as error:
            raise CommandError(f"{TLS_UNUSABLE}: {error}", returncode=EX_CONFIG) from error
        announce_store()
        try:
            server = make_server(host=host, port=port)
        except OSError as error:
            raise CommandError(f"Can't listen on {host}, port {port}: {error}") from error
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        listening = threading.Thread(target=server.serve_forever, name="listening")
        listening.start()
        secured = " with TLS" if settings.DICOM_TLS_CERTIFICATE else ""
        self.stdout.write(
            f"{settings.DICOM_AE_TITLE} listens on {host}, port {server.server_address[1]}{secured}"
        )
        stop.wait()
        self.stdout.write("Stopping: associations may end, the rest is aborted.")
        server.stop(grace_s=settings.DICOM_GRACE_SECONDS)
        listening.join()

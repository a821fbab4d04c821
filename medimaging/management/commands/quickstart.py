"""`manage.py quickstart`: the whole product on this machine, until Ctrl-C."""

import os
import socket
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, TextIO, cast

from django.conf import settings
from django.core.checks import Tags
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.db import connections

from medimaging import configuration
from medimaging.log_lines import JsonOutput
from medimaging.metrics import processes
from medimaging.quickstart import demo, stack
from medimaging.quickstart.errors import QuickstartError
from medimaging.quickstart.supervisor import OURS, StopRequested, Supervisor
from records.files.sandboxed import sandbox

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Command(BaseCommand):
    help = "Run the whole product here: database, queue, web server, worker. Ctrl-C ends it all."
    requires_system_checks = [Tags.files]

    def add_arguments(self, parser: ArgumentParser) -> None:
        env = configuration.load()
        parser.add_argument("--host", default=env.text("HOST"))
        parser.add_argument("--port", type=int, default=env.whole("PORT"))

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], options["port"]
        data_dir: Path = settings.DATA_DIR
        is_json = settings.LOG_FORMAT == "json"
        if is_json:
            self.stdout, self.stderr = (
                OutputWrapper(cast(TextIO, JsonOutput(stream, program=OURS)))
                for stream in (self.stdout, self.stderr)
            )
        try:
            with stack.only_run(data_dir):
                stack.check_port_is_free(host, port)
                log_file = data_dir / "log" / "quickstart.log"
                with Supervisor(log_file=log_file, is_json=is_json) as supervisor:
                    self.run(supervisor, data_dir, host, port)
        except QuickstartError as error:
            raise CommandError(str(error)) from None
        except StopRequested:
            self.stdout.write("Stopped.")

    def run(self, supervisor: Supervisor, data_dir: Path, host: str, port: int) -> None:
        started = time.monotonic()
        # The first run makes the key after settings were read; demo tokens are signed here.
        env = configuration.load()
        settings.SECRET_KEY = env.text("SECRET_KEY") or stack.keep_secret_key(data_dir)
        settings.DIGEST_KEY = env.text("DIGEST_KEY") or settings.SECRET_KEY
        stack.start_services(supervisor, data_dir, os.environ)
        call_command("migrate", interactive=False, verbosity=0)
        self.register_bundles()
        accounts = demo.make_accounts(data_dir)
        demo.state_sample_source()
        environment = self.environment(host, port)
        *programs, beat = stack.product_programs(environment)
        for program in programs:
            supervisor.start(program)
        if settings.DICOM_PORT:
            supervisor.start(stack.dicom_program(environment))
        if settings.METRICS_PORT:
            supervisor.start(stack.metrics_program(environment))
        demo.submit_samples(settings.SAMPLES_DIR, accounts=accounts, report=self.stdout.write)
        sandbox.pool.stop()  # the samples were all that this process reads itself
        # The welcome may stand for weeks; no connection need stay open under it.
        connections.close_all()
        stack.wait_until_ready(supervisor, host, port)
        # Nothing is overdue yet, and until here it would only slow the others down.
        supervisor.start(beat)
        self.stdout.write(self.welcome(accounts, host, port, time.monotonic() - started))
        supervisor.watch()

    def register_bundles(self) -> None:
        """Make the bundles known; a damaged one is named and doesn't keep the rest from working."""
        try:
            call_command("register_bundles", deploy=True, stdout=self.stdout)
        except CommandError as error:
            self.stderr.write(str(error))

    def environment(self, host: str, port: int) -> dict[str, str]:
        """What the programs must know that isn't in our own environment."""
        hosts = [*settings.ALLOWED_HOSTS, host, socket.gethostname()]
        bracketed = f"[{host}]" if ":" in host else host
        # Nobody but this machine gets in, and links in mail would have to lead people here.
        is_only_here = host in LOOPBACK and not settings.MAIL_ENABLED
        is_known = is_only_here and not settings.IS_SITE_URL_SET
        # One program shows what all of them count.
        counted_in = processes.make_directory() if settings.METRICS_PORT else None
        return {
            **({processes.DIRECTORY: str(counted_in)} if counted_in else {}),
            **({"SITE_URL": f"http://{bracketed}:{port}"} if is_known else {}),
            "SECRET_KEY": settings.SECRET_KEY,
            "MEDIMAGING_DATA_DIR": str(settings.DATA_DIR),
            "DATABASE_URL": settings.DATABASE_URL,
            # They migrate nothing.
            "DATABASE_OWNER_URL": "",
            "REDIS_URL": settings.REDIS_URL,
            "ALLOWED_HOSTS": ",".join(dict.fromkeys(hosts)),
            "DEMO_ACCOUNTS": demo.describe_accounts(),
            "WEB_BIND": f"{bracketed}:{port}",
            # Threads would each get an arena of their own, which never shrinks.
            "MALLOC_ARENA_MAX": "2",
            "PYTHONUNBUFFERED": "1",
        }

    def welcome(self, accounts: demo.DemoAccounts, host: str, port: int, seconds: float) -> str:
        """The last thing that is printed: where it is, and how to get in."""
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - read, not bound
        lines = ["", f"Ready after {seconds:.0f} s: http://{shown}:{port}/", ""]
        if settings.DICOM_PORT:
            where = f"{settings.DICOM_HOST}, port {settings.DICOM_PORT}"
            lines += [f"{settings.DICOM_AE_TITLE} takes DICOM associations on {where}", ""]
        # What gathers logs is to gather no passwords.
        if accounts.are_new and settings.LOG_FORMAT != "json":
            lines += ["Sign in as (user name, password; shown only this once):", ""]
            lines += [f"  {line}" for line in accounts.file.read_text().splitlines()]
            lines += ["", f"They are kept in {accounts.file}"]
        elif accounts.file.exists():
            lines += [f"The sign-ins of the first run are in {accounts.file}"]
        return "\n".join([*lines, "Ctrl-C ends everything.", ""])

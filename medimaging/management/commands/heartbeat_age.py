"""`manage.py heartbeat_age`: whether a process of this host lives; containers are checked by it."""

import socket
from argparse import ArgumentParser
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError

from medimaging.heartbeats import heartbeats


class Command(BaseCommand):
    help = "Print the age in seconds of the freshest heartbeat of a role on this host, or fail."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--role", required=True)
        parser.add_argument("--any-host", action="store_true", help="on whatever host")

    def handle(self, *args: Any, **options: Any) -> None:
        role, host = options["role"], socket.gethostname()
        try:
            said = [one for one in heartbeats() if one.role == role]
        except redis.RedisError as error:
            raise CommandError(f"redis_unreachable: Redis can't be asked: {error}") from None
        here = [one for one in said if options["any_host"] or one.host == host]
        if not here:
            raise CommandError(f"no_heartbeat: no {role} of this host says that it lives.")
        freshest = min(here, key=lambda one: one.age_s)
        if freshest.is_silent:
            raise CommandError(
                f"heartbeat_old: {freshest.name} said {freshest.age_s:.0f} s ago that it lives."
            )
        self.stdout.write(f"{freshest.age_s:.1f}")

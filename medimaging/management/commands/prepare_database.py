"""`manage.py prepare_database`: make the roles of the database, once or again."""

import contextlib
from typing import Any

import psycopg2
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from environ import Env

from medimaging import configuration
from medimaging.database_roles import DatabaseRole, prepare_roles

MISSING = "Set DATABASE_ADMIN_URL, DATABASE_OWNER_URL and DATABASE_URL: three roles, one database."
UNARMED = "The address of the role {} has no password. Set it in .env: PostgreSQL asks for it."


class Command(BaseCommand):
    """Works as the superuser that DATABASE_ADMIN_URL names, which nothing else needs."""

    help = "Make the roles that own, use and audit the database, and hand its tables to the owner."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        admin = configuration.load().text("DATABASE_ADMIN_URL")
        owner, app, auditor = (
            DatabaseRole.of(url)
            for url in (
                settings.DATABASE_OWNER_URL,
                settings.DATABASE_URL,
                settings.DATABASE_AUDITOR_URL,
            )
        )
        if not admin or owner is None or app is None or owner.name == app.name:
            raise CommandError(MISSING)
        roles = [role for role in (owner, app, auditor) if role]
        for role in roles:
            if not (role.password or _is_socket(admin)):
                raise CommandError(UNARMED.format(role.name))
        try:
            with contextlib.closing(psycopg2.connect(admin)) as connection:
                prepare_roles(connection, owner=owner, app=app, auditor=auditor)
        except psycopg2.Error as error:
            raise CommandError(f"The roles could not be made: {error}") from error
        names = ", ".join(role.name for role in roles)
        self.stdout.write(f"The database has the roles {names}.")


def _is_socket(url: str) -> bool:
    """Whether an address is on this machine, where PostgreSQL knows callers without a password."""
    host = Env.db_url_config(url)["HOST"]
    return not host or host.startswith("/")

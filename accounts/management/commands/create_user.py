"""`manage.py create_user`: the first people of an installation."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import transaction

from accounts.errors import KnownError
from accounts.models import Department, User
from accounts.roles import DEPARTMENT_ROLES, Role
from accounts.services import invite_user, set_password
from accounts.services.grants import Grant


class Command(BaseCommand):
    """Opens one account. Prints the set-password link, unless a password comes on stdin."""

    help = "Open an account: prints a set-password link, or takes a password from stdin."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--username", required=True)
        parser.add_argument("--full-name", required=True)
        parser.add_argument("--email", required=True)
        parser.add_argument("--role", action="append", required=True, choices=Role.values)
        parser.add_argument("--department", help="name or slug, for the departmental roles")
        parser.add_argument(
            "--password-stdin", action="store_true", help="read the password's line from stdin"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Open the account, all or nothing."""
        try:
            with transaction.atomic():
                link = self._open_account(options)
        except KnownError as error:
            raise CommandError(f"{error.message} {error.action}") from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        if link is not None:
            self.stdout.write(link)
            self.stderr.write(
                "Open this address of the site to set the password. It works once, for a day."
            )

    def _open_account(self, options: dict[str, Any]) -> str | None:
        """Return the set-password link, or None where the password is already set."""
        User.username_validator(options["username"])
        validate_email(options["email"])
        user, link = invite_user(
            actor=None,
            username=options["username"],
            full_name=options["full_name"],
            email=options["email"],
            memberships=_memberships(options["role"], options["department"]),
        )
        if not options["password_stdin"]:
            return link
        password = sys.stdin.readline().rstrip("\r\n")
        validate_password(password, user)
        set_password(actor=None, user=user, password=password)
        return None


def _memberships(roles: list[str], department_name: str | None) -> list[Grant]:
    department = None
    if department_name is not None:
        department = Department.objects.named(department_name).first()
        if department is None:
            raise CommandError(
                f"There is no department called {department_name}. "
                "An administrator adds it on the page Departments."
            )
    return [(role, department if role in DEPARTMENT_ROLES else None) for role in roles]

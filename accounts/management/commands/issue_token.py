"""`manage.py issue_token`: an API token for a person, from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.errors import KnownError
from accounts.models import Department, User
from accounts.roles import Verb
from accounts.services import issue_token


class Command(BaseCommand):
    """Prints the token's value and nothing else, so that scripts can take it."""

    help = "Issue an API token and print its value, which is never shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--user", required=True, help="the user name of the owner")
        parser.add_argument("--days", required=True, type=int, help="how long it is valid")
        parser.add_argument("--name", default="command line", help="what it is for")
        parser.add_argument(
            "--scope",
            action="append",
            choices=[verb.value for verb in Verb],
            help="a permission; repeat it for more (without it: all that the owner holds)",
        )

        parser.add_argument("--department", help="name or slug: the token acts in that one alone")

    def handle(self, *args: Any, **options: Any) -> None:
        """Issue the token."""
        user = User.objects.named(options["user"]).first()
        if user is None:
            raise CommandError(f"Nobody has the user name {options['user']}.")
        named = options["department"]
        department = Department.objects.named(named).first() if named else None
        if named and department is None:
            raise CommandError(f"There is no department called {named}.")
        try:
            _, value = issue_token(
                actor=None,
                user=user,
                name=options["name"],
                days=options["days"],
                scopes=options["scope"],
                department=department,
            )
        except KnownError as error:
            raise CommandError(f"{error.message} {error.action}") from error
        self.stdout.write(value)

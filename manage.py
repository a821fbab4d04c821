#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys

UNAVAILABLE = 69
"""EX_UNAVAILABLE of sysexits.h: the database, which nearly every command needs, is away."""


def main() -> None:
    """Run one administrative command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medimaging.settings")
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    from medimaging.configuration.faults import SettingsUnusable, as_json

    try:
        execute_from_command_line(sys.argv)
    except SettingsUnusable as unusable:
        if sys.argv[1:2] == ["doctor"] and "--json" in sys.argv:
            sys.stdout.write(f"{as_json(unusable.faults)}\n")
        raise
    except OperationalError as failure:
        if "--traceback" in sys.argv:
            raise
        # One that isn't there is no fault of the command: nobody needs to know where it noticed.
        sys.stderr.write(f"The database can't be used: {str(failure).strip()}\n")
        sys.exit(UNAVAILABLE)


if __name__ == "__main__":
    main()

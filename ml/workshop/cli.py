"""The command line `python -m ml`: from images to a bundle that can be trusted."""

import argparse
import sys
from argparse import HelpFormatter, RawDescriptionHelpFormatter
from collections.abc import Sequence

from ml.errors import MLError
from ml.workshop.commands import (
    audit_data,
    card,
    check,
    compare,
    crossval,
    evaluate,
    explain,
    export,
    keygen,
    new_task,
    predict,
    rejects,
    seeds,
    sign,
    soup,
    summary,
    train,
    tune,
    verify,
)

COMMANDS = (
    new_task,
    check,
    audit_data,
    summary,
    train,
    export,
    card,
    evaluate,
    compare,
    predict,
    explain,
    tune,
    crossval,
    seeds,
    soup,
    rejects,
    keygen,
    sign,
    verify,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Known errors are printed, not raised."""
    options = make_parser().parse_args(arguments)
    try:
        return int(options.run_command(options))
    except MLError as error:
        sys.stderr.write(f"{error.code}: {error.message} {error.action}\n")
        return 2


def make_parser() -> argparse.ArgumentParser:
    """The parser of every command; a command's `run` is its option `run_command`."""
    parser = argparse.ArgumentParser(prog="python -m ml", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2].replace("_", "-")
        epilog = getattr(command, "EPILOG", "")
        described = commands.add_parser(
            name,
            help=command.SUMMARY,
            description=command.__doc__,
            epilog=epilog or command.SUMMARY,
            # Examples are laid out in lines.
            formatter_class=RawDescriptionHelpFormatter if epilog else HelpFormatter,
        )
        command.add_options(described)
        described.set_defaults(run_command=command.run)
    return parser

"""`manage.py doctor`: whether this installation can work, in a sentence and a code each."""

import json
import logging
import os
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from django.core.management.base import BaseCommand

from medimaging.doctor import DEADLINE_S, Level, Report, examine

FAILED = 1
LEAST_S = 10.0
"""What is left for looking where starting took long; half a minute is enough for both."""


class Command(BaseCommand):
    """Ends with 0, with 1 where there are errors, and with 78 where settings can't be read."""

    help = "Look at settings, services, files and models, and say what keeps them from working."
    # It runs them itself, and goes on whatever they find.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON object, for programs.")
        parser.add_argument(
            "--env-file",
            metavar="FILE",
            type=Path,
            help="A .env of other processes to look at too; /dev/stdin for one that is piped in.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # What libraries log of a failure is said below, in a sentence.
        logging.disable(logging.CRITICAL)
        try:
            report = examine(
                env_file=options["env_file"], deadline_s=max(DEADLINE_S - _running_s(), LEAST_S)
            )
        finally:
            logging.disable(logging.NOTSET)
        counts = Counter(one.level for found in report.findings.values() for one in found)
        self.stdout.write(as_json(report, counts) if options["json"] else as_text(report, counts))
        status = FAILED if counts[Level.ERROR] else 0
        if report.is_stuck:
            # A thread that waits for a service that says nothing would keep us, or crash on exit.
            self.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        if status:
            sys.exit(status)


def _running_s() -> float:
    """How long this process has run: loading everything takes seconds on a busy machine."""
    return time.time() - psutil.Process().create_time()


def as_text(report: Report, counts: Counter[Level]) -> str:
    """A block for each examination, a line or two for each finding, and the sum."""
    lines = []
    for name, found in report.findings.items():
        lines.append(name)
        for one in found:
            lines.append(f"  {one.level:8} {one.code:24} {one.message}")
            if one.action:
                lines.append(f"  {'':33} {one.action}")
    return "\n".join([*lines, "", f"Errors: {counts[Level.ERROR]}, warnings: {_warnings(counts)}."])


def as_json(report: Report, counts: Counter[Level]) -> str:
    """The same for programs."""
    findings = [
        {"group": name, **asdict(one)} for name, found in report.findings.items() for one in found
    ]
    answer = {
        "errors": counts[Level.ERROR],
        "warnings": counts[Level.WARNING],
        "findings": findings,
    }
    return json.dumps(answer, indent=2, ensure_ascii=False)


def _warnings(counts: Counter[Level]) -> int:
    return counts[Level.WARNING]

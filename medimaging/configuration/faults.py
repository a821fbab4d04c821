"""What is wrong with the settings, and how a process says so before it ends."""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

EX_CONFIG = 78
"""The exit status of a process whose settings can't be used (sysexits.h)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, with the variable's name and never with a secret."""

    code: str
    variable: str
    message: str


class SettingsUnusable(SystemExit):
    """Ends the process: whatever it would do with such settings isn't what was meant."""

    def __init__(self, faults: list[Fault]) -> None:
        """Keep the faults for whoever wants to say more of them."""
        self.faults = faults
        super().__init__(EX_CONFIG)


def stop(fault: Fault, *, is_json: bool = False) -> NoReturn:
    """Say what is wrong and end the process."""
    say([fault], level="ERROR", is_json=is_json)
    raise SettingsUnusable([fault])


def as_json(faults: Iterable[Fault]) -> str:
    """What `manage.py doctor --json` prints where it can't even begin."""
    findings = [
        {
            "group": "Settings",
            "level": "error",
            "code": fault.code,
            "message": fault.message,
            "action": "Correct it; nothing else can be looked at before.",
        }
        for fault in faults
    ]
    return json.dumps({"errors": len(findings), "warnings": 0, "findings": findings}, indent=2)


def say(faults: Iterable[Fault], *, level: str, is_json: bool) -> None:
    """Write a line for each to standard error, which is there before any log is set up."""
    for fault in faults:
        if is_json:
            event = {
                "time": datetime.now(tz=UTC).isoformat(timespec="milliseconds"),
                "level": level,
                "logger": "medimaging.configuration",
                "request_id": "-",
                "code": fault.code,
                "message": fault.message,
            }
            line = json.dumps(event, ensure_ascii=False)
        else:
            line = f"{level} {fault.code}: {fault.message}"
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()

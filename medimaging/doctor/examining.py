"""Examinations side by side, each in a thread that can be left behind, all within one deadline."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import connections

from medimaging.doctor.findings import Finding, error, first_line, warning

DEADLINE_S = 25.0
"""For all of them together, however long each would take."""

Examine = Callable[[], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Examination:
    """A group of findings by its name, and what yields them.

    `is_slow` is one that takes long on a slow machine, where nothing is wrong.
    """

    name: str
    examine: Examine
    is_slow: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, by examination, and whether one of them still runs."""

    findings: dict[str, list[Finding]]
    is_stuck: bool


def examine_all(examinations: list[Examination], *, deadline_s: float = DEADLINE_S) -> Report:
    """Run them all at once and return what each has found when it ended, or time was up."""
    until = time.monotonic() + deadline_s
    rounds = [_Round(one) for one in examinations]
    for one in rounds:
        one.thread.join(max(until - time.monotonic(), 0))
    return Report(
        findings={one.examination.name: one.conclude(deadline_s) for one in rounds},
        is_stuck=any(one.thread.is_alive() for one in rounds),
    )


class _Round:
    """One examination on its way; what it has found so far is there whenever somebody looks."""

    def __init__(self, examination: Examination) -> None:
        self.examination = examination
        self._found: list[Finding] = []
        self.thread = threading.Thread(
            target=self._run, name=f"doctor-{examination.name}", daemon=True
        )
        self.thread.start()

    def conclude(self, seconds: float) -> list[Finding]:
        found, took = list(self._found), f"This took longer than {seconds:.0f} s and was left."
        if not self.thread.is_alive():
            return found
        if self.examination.is_slow:
            return [*found, warning("not_finished", took, "Try again when less is going on.")]
        action = "Look at what it asks: something accepts connections and doesn't answer."
        return [*found, error("no_answer", took, action)]

    def _run(self) -> None:
        try:
            for finding in self.examination.examine():
                self._found.append(finding)
        except Exception as failure:  # noqa: BLE001 - a finding too, and the others go on
            self._found.append(
                error(
                    "not_examined",
                    f"This could not be looked at ({type(failure).__name__}: "
                    f"{first_line(failure)}).",
                    "Put right what is named above, and run the doctor again.",
                )
            )
        finally:
            connections.close_all()

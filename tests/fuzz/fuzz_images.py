"""Feeds damaged images to `read_frames`: anything but frames or a known error is a finding.

    python -m tests.fuzz.fuzz_images --minutes 10 --seeds tests/fuzz/seeds --out var/fuzz

Cases run in a child process, so that a crash or a hang of a native decoder is seen too: the case is
then kept under --out, and a new child goes on with the next one. Once mended, move it to
tests/fuzz/found, where the test suite reads it for ever.
"""

import argparse
import logging
import multiprocessing
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np

from ml.errors import MLError
from ml.images import read_frames, to_display
from tests.fuzz.mutations import make_case

SEEDS = Path(__file__).parent / "seeds"
# A case that takes longer is a hang: files are small, and decoding one takes milliseconds.
PATIENCE = 20.0
START_PATIENCE = 120.0
MAX_MEMORY = 6 * 1024**3
PAUSE = 0.05

Target = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Finding:
    """A case that ended in neither frames nor a known error."""

    number: int
    what: str
    content: bytes


@dataclass(slots=True)
class Report:
    """What a run of the fuzzer did: outcomes by their codes, and the findings."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def executions(self) -> int:
        """Cases that were run."""
        return self.outcomes.total()


def read_seeds(folder: Path) -> list[bytes]:
    """The contents of a folder's files, in the order of their names."""
    return [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()]


def try_case(content: bytes) -> str:
    """The outcome of one case: `frames`, or the code of the known error.

    Whatever else is raised is a finding.
    """
    try:
        for frame in read_frames(content):
            shown = to_display(frame)
            if shown.dtype != np.uint8 or shown.shape[:2] != (frame.rows, frame.columns):
                raise AssertionError(f"shown as {shown.dtype} {shown.shape}")
    except MLError as error:
        return error.code
    return "frames"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a child is to run: the cases made of the seeds and the salt, up to the number `last`."""

    seeds: Sequence[bytes]
    last: int
    salt: int
    target: Target


def fuzz(
    seeds: Sequence[bytes],
    *,
    seconds: float,
    executions: int = sys.maxsize,
    salt: int = 0,
    target: Target = try_case,
) -> Report:
    """Run cases for so long, or so many of them, whichever ends first."""
    report, started, number = Report(), time.monotonic(), 0
    plan = Plan(seeds, executions, salt, target)
    while time.monotonic() - started < seconds and number < executions:
        number = _run_child(plan, report, number, started + seconds)
    report.seconds = time.monotonic() - started
    return report


def _run_child(plan: Plan, report: Report, first: int, deadline: float) -> int:
    """One child's cases, until it has done all, died or hung; the number of the next case."""
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    current, stop = context.Value("q", -1), context.Event()
    child = context.Process(target=_work, args=(plan, first, results, current, stop), daemon=True)
    child.start()
    seen, since = -1, time.monotonic()
    while child.is_alive():
        _collect(results, report)
        now = time.monotonic()
        if now > deadline:
            stop.set()
        if current.value != seen:
            seen, since = current.value, now
        elif now - since > (START_PATIENCE if seen < 0 else PATIENCE):
            child.kill()
        time.sleep(PAUSE)
    child.join()
    _collect(results, report)
    number = int(current.value)
    if child.exitcode != 0:
        if number < 0:
            raise RuntimeError("the child ended before its first case")
        what = "hang" if child.exitcode == -signal.SIGKILL else f"crash ({child.exitcode})"
        report.outcomes[what] += 1
        content = make_case(plan.seeds, number, plan.salt)
        report.findings.append(Finding(number, what, content))
    return number + 1


def _collect(results: Any, report: Report) -> None:
    while True:
        try:
            outcome, finding = results.get_nowait()
        except Empty:
            return
        report.outcomes[outcome] += 1
        if finding is not None:
            report.findings.append(Finding(*finding))


def _work(plan: Plan, first: int, results: Any, current: "Synchronized[int]", stop: Event) -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    # The libraries load before the first case, which is not to wait for them.
    try_case(plan.seeds[0])
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in range(first, plan.last):
        if stop.is_set():
            return
        current.value = number
        content = make_case(plan.seeds, number, plan.salt)
        try:
            results.put((plan.target(content), None))
        except KeyboardInterrupt:
            return
        except BaseException as error:  # noqa: BLE001 - that is what is looked for
            what = f"{type(error).__name__}: {error}"
            results.put((type(error).__name__, (number, what, content)))


def fuzz_from_command_line(
    description: str, *, target: Target = try_case, seeds: Path = SEEDS
) -> int:
    """Fuzz, print what happened, keep the findings; 1 when there are any."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seeds", type=Path, default=seeds)
    parser.add_argument("--salt", type=int, default=0, help="another number, other cases")
    parser.add_argument("--out", type=Path, default=Path("var/fuzz"))
    options = parser.parse_args()
    report = fuzz(
        read_seeds(options.seeds),
        seconds=60 * options.minutes,
        salt=options.salt,
        target=target,
    )
    lines = [f"{report.executions} executions in {report.seconds:.0f} s"]
    lines += [f"{count:8} {outcome}" for outcome, count in report.outcomes.most_common()]
    for finding in report.findings:
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / f"{target.__name__}-{options.salt}-{finding.number}.bin"
        path.write_bytes(finding.content)
        lines.append(f"{path}: {finding.what[:300]}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(fuzz_from_command_line(__doc__))

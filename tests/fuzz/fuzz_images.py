"""Feeds damaged images to `read_frames`: anything but frames or a known error is a finding.

    python -m tests.fuzz.fuzz_images --minutes 10 --seeds tests/fuzz/seeds --out var/fuzz

Cases run in a child process, so that a crash or a hang of a native decoder is seen too: the case is
then kept under --out, and a new child goes on with the next one. Add it to the seeds once mended.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np

from tests.fuzz.mutations import make_case

SEEDS = Path(__file__).parent / "seeds"
# A case that takes longer is a hang: files are small, and decoding one takes milliseconds.
PATIENCE = 20.0
START_PATIENCE = 120.0
MAX_MEMORY = 6 * 1024**3
PAUSE = 0.05


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
    from ml.errors import MLError
    from ml.images import read_frames, to_display

    try:
        for frame in read_frames(content):
            shown = to_display(frame)
            if shown.dtype != np.uint8 or shown.shape[:2] != (frame.rows, frame.columns):
                raise AssertionError(f"shown as {shown.dtype} {shown.shape}")
    except MLError as error:
        return error.code
    return "frames"


def fuzz(
    seeds: Sequence[bytes], *, seconds: float, executions: int = sys.maxsize, salt: int = 0
) -> Report:
    """Run cases for so long, or so many of them, whichever ends first."""
    report, started, first = Report(), time.monotonic(), 0
    while time.monotonic() - started < seconds and first < executions:
        first = _run_child(seeds, report, first, executions, started + seconds, salt)
    report.seconds = time.monotonic() - started
    return report


def _run_child(
    seeds: Sequence[bytes], report: Report, first: int, last: int, deadline: float, salt: int
) -> int:
    """One child's cases, until it has done all, died or hung; the number of the next case."""
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    current, stop = context.Value("q", -1), context.Event()
    arguments = (list(seeds), first, last, salt, results, current, stop)
    child = context.Process(target=_work, args=arguments, daemon=True)
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
    if child.exitcode == 0:
        return last if not stop.is_set() else seen + 1
    if seen < 0:
        raise RuntimeError("the child ended before its first case")
    what = "hang" if child.exitcode == -9 else f"crash ({child.exitcode})"
    number = int(current.value)
    report.outcomes[what] += 1
    report.findings.append(Finding(number, what, make_case(seeds, number, salt)))
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


def _work(
    seeds: list[bytes],
    first: int,
    last: int,
    salt: int,
    results: Any,
    current: "Synchronized[int]",
    stop: Event,
) -> None:
    import logging
    import warnings

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    # The libraries load before the first case, which is not to wait for them.
    try_case(seeds[0])
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in range(first, last):
        if stop.is_set():
            return
        current.value = number
        content = make_case(seeds, number, salt)
        try:
            results.put((try_case(content), None))
        except KeyboardInterrupt:
            return
        except BaseException as error:  # noqa: BLE001 - that is what is looked for
            what = f"{type(error).__name__}: {error}"
            results.put((type(error).__name__, (number, what, content)))


def main() -> int:
    """Fuzz, print what happened, keep the findings; 1 when there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seeds", type=Path, default=SEEDS)
    parser.add_argument("--salt", type=int, default=0, help="another number, other cases")
    parser.add_argument("--out", type=Path, default=Path("var/fuzz"))
    options = parser.parse_args()
    report = fuzz(read_seeds(options.seeds), seconds=60 * options.minutes, salt=options.salt)
    lines = [f"{report.executions} executions in {report.seconds:.0f} s"]
    lines += [f"{count:8} {outcome}" for outcome, count in report.outcomes.most_common()]
    for finding in report.findings:
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / f"{options.salt}-{finding.number}.bin"
        path.write_bytes(finding.content)
        lines.append(f"{path}: {finding.what[:300]}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())

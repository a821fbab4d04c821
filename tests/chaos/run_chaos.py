"""Chaos, bounded: the whole product works while its processes are killed, and nothing may be wrong.

    python -m tests.chaos.run_chaos --studies 200 --minutes 8 --seed 1

Sends studies, hits processes, waits for quiet, and counts. Ends with 1 unless every count is 0.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tests import product as product_module
from tests.chaos.blows import Blow, deal, in_turn, wait_until_whole
from tests.chaos.counting import Counts, count, quantile, wait_for_quiet
from tests.chaos.senders import Senders, Sent
from tests.chaos.stand import Stand, standing

SHOWN = 20
"""So many findings of each kind are named."""
TELLING_S = 120
"""So long clients go on to send after the last blow."""


@dataclass(frozen=True, slots=True)
class Story:
    """What was sent, what happened meanwhile, and what is wrong at the end."""

    sent: list[Sent]
    blows: Counter[str]
    missed: Counter[str]
    counts: Counts


def main() -> int:
    """Run it and print a table."""
    options = argparse.ArgumentParser()
    options.add_argument("--studies", type=int, default=200)
    options.add_argument("--minutes", type=float, default=8)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--blows", type=int, help="default: five a minute")
    options.add_argument("--keep", type=Path, help="leave data and logs in this directory")
    given = options.parse_args()
    product_module.START_SECONDS = 600
    blows = given.blows or round(given.minutes * 5)
    with tempfile.TemporaryDirectory(prefix="medimaging-chaos-") as place:
        folder = given.keep or Path(place)
        with standing(folder) as stand:
            story = tell(
                stand,
                studies=given.studies,
                seconds=given.minutes * 60,
                blows=[*islice(in_turn(random.Random(given.seed)), blows)],
                seed=given.seed,
            )
    print_table(story)
    return int(story.counts.total > 0)


def tell(stand: Stand, *, studies: int, seconds: float, blows: list[Blow], seed: int) -> Story:
    """Send studies and deal blows for so long; then wait for quiet, and count."""
    dice = random.Random(seed)
    senders = Senders(stand, studies=studies, seconds=seconds, dice=dice)
    dealt: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    began = time.monotonic()
    senders.start()
    for number, blow in enumerate(blows):
        due = began + seconds * (number + dice.random()) / len(blows)
        stand.let_pass(max(0.0, due - time.monotonic()))
        (dealt if deal(stand, blow, dice) else missed)[blow.name] += 1
    wait_until_whole(stand)
    stand.helpers.wait_until(lambda: senders.are_done, timeout_s=TELLING_S)
    senders.stop()
    wait_for_quiet(stand)
    return Story(senders.sent, dealt, missed, count(stand, senders.sent))


def print_table(story: Story) -> None:
    """Counts, findings, what happened, and how long answers took."""
    write, counts = sys.stdout.write, story.counts
    write(f"{len(story.sent)} studies, {sum(story.blows.values())} blows\n\n")
    for name, found in counts.wrong.items():
        write(f"{name:<24} {len(found)}\n")
        write("".join(f"    {one}\n" for one in found[:SHOWN]))
    write(f"\n{'sent as':<24} {dict(Counter(one.way for one in story.sent))}\n")
    write(f"{'told':<24} {dict(Counter(one.verdict or 'nothing' for one in story.sent))}\n")
    again = Counter(failure for one in story.sent for failure in one.failures)
    write(f"{'sent again after':<24} {dict(again)}\n")
    waits = counts.waits_s
    shares = ", ".join(f"p{round(s * 100)} {quantile(waits, s):.1f} s" for s in (0.5, 0.9))
    write(f"{'wait for the answer':<24} {shares}, max {max(waits, default=0):.1f} s\n")
    write(f"{'more than one attempt':<24} {counts.attempts}\n")
    write(f"{'files noted for removal':<24} {counts.noted_files}\n\n")
    for name, number in sorted(story.blows.items()):
        missed = f" ({story.missed[name]} found nobody alive)" if story.missed[name] else ""
        write(f"{name:<28} {number}{missed}\n")


if __name__ == "__main__":
    sys.exit(main())

"""Two requests in the same moment."""

import threading
from collections.abc import Callable


def at_once(*steps: Callable[[], object]) -> None:
    """Run `steps` in a thread each, started together, and wait for all of them."""
    barrier = threading.Barrier(len(steps))

    def run(step: Callable[[], object]) -> None:
        barrier.wait(timeout=10)
        step()

    threads = [threading.Thread(target=run, args=[step]) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

"""What a worker of the tests is told to load, so that its loop can be made to stand still."""

import time
from typing import Any

from celery.worker.control import control_command


@control_command()
def block_loop(state: Any) -> None:
    """Stand still for as long as any test lasts."""
    time.sleep(300)

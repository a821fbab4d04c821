"""What the tests of the doctor look at its findings with."""

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from medimaging.doctor.findings import Finding, Level

Examine = Callable[[], Iterator[Finding]]


def codes(examine: Examine, *levels: Level) -> list[str]:
    wanted = levels or (Level.WARNING, Level.ERROR)
    return [one.code for one in examine() if one.level in wanted]


@contextlib.contextmanager
def somebody_else() -> Iterator[None]:
    """This process as an account that owns nothing; root alone can be that."""
    if os.geteuid() != 0:
        pytest.skip("it takes root to drop its rights")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)

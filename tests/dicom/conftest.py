"""What tests of the DICOM library share. No database, no settings and no Django are there."""

import dataclasses
from collections.abc import Iterator

import pytest

from tests.dicom import sandboxed
from tests.dicom.sandboxed import Limits, sandbox
from tests.dicom.watching import Watched, lend


@pytest.fixture
def limits() -> Iterator[Limits]:
    """The limits of the sandbox, which are the usual ones again afterwards."""
    yield sandboxed.limits
    for field in dataclasses.fields(Limits):
        setattr(sandboxed.limits, field.name, field.default)


@pytest.fixture(scope="module")
def shared_pool() -> Iterator[Watched]:
    pool = Watched(1)
    yield pool
    pool.stop()


@pytest.fixture
def pool(shared_pool: Watched, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """One child of this library's sandbox."""
    return lend(shared_pool, sandbox, monkeypatch)

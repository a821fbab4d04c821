"""Work on a store that may hang: left behind after its time, and never piled up."""

import threading
import time

import pytest

from records.errors import StoreUnavailable
from records.files.stores.bounded import MOST_HANGING, bounded

pytestmark = pytest.mark.django_db


def test_bounded_leaves_behind_what_hangs_and_fails_at_once_beyond_some(local_store):
    go_on = threading.Event()
    try:
        for _ in range(MOST_HANGING):
            with pytest.raises(StoreUnavailable):
                bounded(lambda _: go_on.wait(), seconds=0.01)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="storage_unavailable"):
            bounded(lambda _: 1, seconds=5)
        assert time.monotonic() - began < 1
    finally:
        go_on.set()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert bounded(lambda _: 1, seconds=5) == 1
        except StoreUnavailable:
            continue
        break
    else:
        pytest.fail("what had hung was never let go")


def test_bounded_waits_for_work_that_goes_on(local_store):
    def slowly(alive):
        for _ in range(5):
            time.sleep(0.03)
            alive()
        return "done"

    assert bounded(slowly, seconds=0.1) == "done"

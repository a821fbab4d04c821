"""What long work says where there is no terminal."""

import io

import pytest

from ml.workshop import progress
from ml.workshop.progress import Progress, format_seconds, track


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that progress sees, as its one entry."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_progress_says_a_line_every_few_seconds_with_the_time_left(clock: list[float]) -> None:
    stream = io.StringIO()
    with Progress(100, "predicting", unit="image", stream=stream) as shown:
        for _ in range(100):
            clock[0] += 1.0
            shown.advance()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "predicting: 5 of 100 images, 5%, 2 min left"
    assert lines[-1] == "predicting: 100 of 100 images, 100%"
    assert len(lines) == 20


def test_progress_keeps_quiet_when_it_is_done_at_once(clock: list[float]) -> None:
    stream = io.StringIO()
    assert list(track(range(9), 9, "reading", unit="image", stream=stream)) == list(range(9))
    assert stream.getvalue() == ""


def test_progress_counts_when_nobody_knows_the_total(clock: list[float]) -> None:
    stream = io.StringIO()
    with Progress(0, "search", unit="trial", stream=stream) as shown:
        clock[0] += 9
        shown.move_to(4)
    assert stream.getvalue() == "search: 4 trials\n"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (150, "2 min"), (4800, "1 h 20 min")]
)
def test_format_seconds(seconds: float, words: str) -> None:
    assert format_seconds(seconds) == words

"""Damaged images, a few hundred of the many that `tests.fuzz.fuzz_images` makes; and all seeds."""

import os
import signal
from pathlib import Path

import pytest

from ml.errors import MLError
from ml.images import read_frames
from tests.fuzz.fuzz_images import SEEDS, fuzz, read_seeds
from tests.fuzz.mutations import make_case

FOUND = SEEDS.parent / "found"
EXECUTIONS = 400


@pytest.mark.parametrize("path", sorted(SEEDS.iterdir()), ids=lambda path: path.stem)
def test_read_frames_reads_every_seed(path: Path) -> None:
    """A seed that is refused at once would lead no case into the decoders."""
    assert read_frames(path)
    assert path.stat().st_size < 10_000


@pytest.mark.parametrize("path", sorted(FOUND.iterdir()), ids=lambda path: path.stem)
def test_read_frames_ends_in_a_known_error_when_a_file_once_broke_it(path: Path) -> None:
    try:
        read_frames(path)
    except MLError as error:
        assert error.code  # noqa: PT017 - frames are as good an end


def test_read_frames_ends_in_frames_or_a_known_error_when_files_are_damaged() -> None:
    report = fuzz(read_seeds(SEEDS), seconds=100, executions=EXECUTIONS, salt=7)
    assert [(finding.number, finding.what) for finding in report.findings] == []
    assert report.executions == EXECUTIONS
    # The cases are neither all refused nor all untouched.
    assert {"frames", "image_truncated", "image_unreadable"} <= set(report.outcomes)


def end_the_process(_: bytes) -> str:
    """As a native decoder does whose memory is corrupted."""
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError("still there")


def stumble(_: bytes) -> str:
    """As a decoder does that nobody caught."""
    raise KeyError("unforeseen")


def test_fuzz_reports_what_crashes_and_goes_on_with_the_next_case() -> None:
    seeds = read_seeds(SEEDS)
    report = fuzz(seeds, seconds=100, executions=2, target=end_the_process)
    assert [finding.what for finding in report.findings] == ["crash (-11)"] * 2
    assert [finding.content for finding in report.findings] == [
        make_case(seeds, number, 0) for number in (0, 1)
    ]


def test_fuzz_reports_what_nobody_expected() -> None:
    report = fuzz(read_seeds(SEEDS), seconds=100, executions=3, target=stumble)
    assert report.outcomes == {"KeyError": 3}
    assert "unforeseen" in report.findings[2].what

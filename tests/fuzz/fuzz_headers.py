"""Feeds damaged DICOM files to the readers of headers: anything but a verdict is a finding.

    python -m tests.fuzz.fuzz_headers --minutes 10

A file that is accepted is also taken apart as a stored one is: described, looked into, rewritten.
Everything else is as in `tests.fuzz.fuzz_images`; mended cases go to tests/fuzz/found_headers.
"""

import sys
from pathlib import Path

from ml.errors import MLError
from records.dicom.reading.limits import ContentLimits
from records.dicom.reading.values import PARSE_ERRORS
from records.dicom.sandbox import jobs
from records.errors import FileRejected
from tests.fuzz.fuzz_images import fuzz_from_command_line

SEEDS = Path(__file__).parent / "header_seeds"
FOUND = Path(__file__).parent / "found_headers"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
LIMITS = ContentLimits(
    file_bytes=64 * 1024 * 1024,
    file_size="64 MB",
    frame_pixels=4_000_000,
    image_pixels=16_000_000,
    inflate_ratio=200,
    header_seconds=3,
)


def try_header(content: bytes) -> str:
    """The outcome of one case: `stored`, an exclusion, or the code of the refusal."""
    try:
        if content[128:132] != b"DICM":
            content = jobs.wrap(jobs.Wrapping(3), content).content.tobytes() + content
        examined = jobs.examine(jobs.Examination(LIMITS), content)
    except FileRejected as refusal:
        return refusal.code
    _take_apart(content)
    return examined.exclusion.code or "stored"


def _take_apart(content: bytes) -> None:
    """Describing has to go well; pixels and values that can't be written have a known end."""
    jobs.describe(jobs.Description("1.2.840.10008.1.2.1"), content)
    jobs.extract(jobs.Extraction("00091010"), content)
    for syntax in (EXPLICIT, IMPLICIT):
        try:
            jobs.rewrite(jobs.Rewriting(syntax), content)
        except (MLError, *PARSE_ERRORS):
            continue


if __name__ == "__main__":
    sys.exit(fuzz_from_command_line(__doc__, target=try_header, seeds=SEEDS))

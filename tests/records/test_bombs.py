"""Files made to do harm, small and large: a verdict in little time and little memory."""

import io
import time

import numpy as np
import pytest

from records.errors import FileRejected
from records.files.sandboxed import sandbox
from tests.dicom.bombs import (
    MIB,
    deflated,
    jpeg_of_another_size,
    nested,
    padded,
    rle,
    with_elements,
    with_fragments,
    with_huge_value,
    with_items,
    with_meta_length,
)
from tests.dicom.files import make_dicom
from tests.dicom.watching import ALLOWED_BYTES, ALLOWED_SECONDS, peak_of

BOMBS = {
    "deep nesting": (lambda: nested(20_000), "dicom_unreadable"),
    "huge value": (with_huge_value, "dicom_truncated"),
    "meta length beyond the file": (lambda: with_meta_length(0xFFFFFFFF), "dicom_unreadable"),
    "deflate": (lambda: deflated(100), "content_hostile"),
    "run length": (lambda: rle(7936), "image_too_large"),
    "run length beyond the image": (lambda: rle(128, more=9), "constant_image"),
    "lying JPEG": (jpeg_of_another_size, "pixels_unreadable"),
}


@pytest.mark.parametrize(("make", "code"), BOMBS.values(), ids=BOMBS)
def test_bomb_gets_its_verdict_within_time_and_memory(pool, make, code):
    content = make()
    before = pool.seconds_spent

    try:
        found = sandbox.examine(io.BytesIO(content)).exclusion.code
    except FileRejected as refusal:
        found = refusal.code

    assert found == code
    assert pool.seconds_spent - before < ALLOWED_SECONDS
    assert max(pool.grown) < ALLOWED_BYTES
    assert sandbox.examine(io.BytesIO(make_dicom())).exclusion.code == ""


LARGE_BOMBS = {
    "deflate": (lambda: padded(deflated(100), 30), {"dicom_truncated"}),
    "deflate of gigabytes": (lambda: padded(deflated(900), 30), {"decoding_exhausted"}),
    "deep nesting": (lambda: nested(20 * MIB // 20), {"dicom_unreadable"}),
    "tiny elements": (lambda: with_elements(20), {"decoding_exhausted"}),
    "tiny items": (lambda: with_items(20), {"decoding_exhausted"}),
    # Whether its time or its memory ends first is the machine's.
    "tiny fragments": (lambda: with_fragments(30), {"decoding_exhausted", "image_too_large"}),
    "run length": (lambda: padded(rle(7936), 30), {"image_too_large", "pixels_unreadable"}),
}


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize(("make", "codes"), LARGE_BOMBS.values(), ids=LARGE_BOMBS)
def test_large_bomb_takes_no_more_than_a_small_one(pool, send_one, make, codes):
    """What a file is padded with buys it neither time nor memory."""
    content = make()
    before, waited = pool.seconds_spent, time.monotonic()
    with peak_of(pool) as peak:
        found = send_one(content)
    spent, waited = pool.seconds_spent - before, time.monotonic() - waited

    assert found.code in codes
    assert spent < ALLOWED_SECONDS
    # The clock runs on while others have the processor, and while the file is spooled and hashed.
    assert waited < 4 * ALLOWED_SECONDS
    assert max(peak, default=0) < ALLOWED_BYTES


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("frames", "rows", "columns"), [(500, 512, 512), (1, 8000, 7900)], ids=["series", "large"]
)
def test_sound_image_of_many_pixels_is_stored_whole(pool, send_one, frames, rows, columns):
    ramp = np.arange(rows * columns, dtype="<u2").tobytes()

    found = send_one(
        make_dicom(Rows=rows, Columns=columns, NumberOfFrames=frames, PixelData=ramp * frames)
    )

    assert (found.code, found.instance.exclusion) == ("stored", "")
    assert max(pool.grown) < ALLOWED_BYTES

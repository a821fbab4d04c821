"""What can't be decoded is stored and marked, whichever frame it is and however deep its cells."""

import struct
import time

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from records.dicom.reading import proof
from tests.dicom.files import make_dicom

pytestmark = pytest.mark.django_db

BROKEN = b"\xff" * 80


def make_runs(value: int = 0) -> bytes:
    """A frame of 16 x 16 bytes as RLE: a ramp, or one value throughout."""
    literal = bytes(range(128)) if not value else bytes([value]) * 128
    return struct.pack("<16I", 1, 64, *[0] * 14) + 2 * (b"\x7f" + literal)


def make_frames(frames: list[bytes]) -> bytes:
    depth = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    count = len(frames)
    return make_dicom(
        syntax=RLELossless, NumberOfFrames=count, PixelData=encapsulate(frames), **depth
    )


@pytest.mark.parametrize("broken", [0, 1, 2, 3, 4])
def test_object_is_stored_and_marked_when_one_of_its_frames_is_broken(send_one, broken):
    frames = [make_runs()] * 5
    frames[broken] = BROKEN

    found = send_one(make_frames(frames))

    assert (found.verdict, found.instance.exclusion) == ("stored", "pixels_unreadable")
    assert found.instance.number_of_frames == 5


def test_object_is_blank_only_when_all_of_its_frames_are(send_one):
    frames = [make_runs(7), make_runs(), make_runs(9)]

    assert send_one(make_frames(frames)).instance.exclusion == ""
    assert send_one(make_frames(frames[::2])).instance.exclusion == "constant_image"


def test_object_of_many_frames_is_proved_in_bounded_time(send_one, monkeypatch):
    """One broken frame of a thousand may be missed; the ends and the middle never are."""
    monkeypatch.setattr(proof, "PROOF_SECONDS", 0)
    started = time.monotonic()

    frames = [make_runs()] * 1000
    assert send_one(make_frames(frames)).instance.exclusion == ""
    for place in (0, 500, 999):
        broken = [*frames[:place], BROKEN, *frames[place + 1 :]]
        assert send_one(make_frames(broken)).instance.exclusion == "pixels_unreadable"

    assert time.monotonic() - started < 30


@pytest.mark.parametrize("bits", [2, 7, 10, 20, 48, 64])
def test_object_is_stored_and_marked_when_its_cells_cannot_be_decoded(send_one, bits):
    pixels = bytes(range(256)) * 8

    found = send_one(
        make_dicom(BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1, PixelData=pixels)
    )

    assert (found.verdict, found.instance.exclusion) == ("stored", "pixels_unreadable")


@pytest.mark.parametrize("bits", [1, 8, 12, 16, 24, 32])
def test_object_is_stored_whole_when_its_cells_have_so_many_bits(send_one, bits):
    pixels = np.arange(256 * bits // 8, dtype=np.uint8).tobytes()

    found = send_one(
        make_dicom(BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1, PixelData=pixels)
    )

    assert (found.verdict, found.instance.exclusion) == ("stored", "")

"""From stored files to frames and pictures."""

import numpy as np
import pytest

from records import pixels
from records.errors import NoSuchFrame, NothingToShow
from records.models import Instance
from tests.records.files import make_dicom, make_report

pytestmark = pytest.mark.django_db

CINE = np.arange(4 * 256, dtype="<u2").reshape(4, 16, 16)


@pytest.fixture
def cine(send) -> Instance:
    send(("a", make_dicom(NumberOfFrames=4, PixelData=CINE.tobytes())))
    return Instance.objects.get()


def test_read_frame_counts_from_one(cine):
    assert np.array_equal(pixels.read_frame(cine, 1).pixels, CINE[0])
    assert np.array_equal(pixels.read_frame(cine, 4).pixels, CINE[3])


@pytest.mark.parametrize("at_a_time", [1, 3, 16])
def test_iter_frames_gives_all_in_order(cine, monkeypatch, at_a_time):
    monkeypatch.setattr(pixels, "FRAMES_AT_A_TIME", at_a_time)

    frames = [frame.pixels for frame in pixels.iter_frames(cine)]

    assert np.array_equal(np.stack(frames), CINE)


def test_read_frame_decodes_once_while_it_is_kept(cine, monkeypatch):
    monkeypatch.setattr(pixels, "_cache", pixels.FrameCache(1_000_000))
    first = pixels.read_frame(cine, 2)

    assert pixels.read_frame(cine, 2) is first


def test_cache_stays_within_its_bounds(cine):
    frame = pixels.read_frame(cine, 1)
    cache = pixels.FrameCache(frame.pixels.nbytes * 5)

    for number in range(10):
        cache.put((cine.sha256, number), frame)

    kept = [number for number in range(10) if cache.get((cine.sha256, number))]
    assert kept == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("number", [0, 5])
def test_render_png_refuses_a_frame_that_is_not_there(cine, number):
    with pytest.raises(NoSuchFrame):
        pixels.render_png(cine, number)


def test_render_png_says_why_there_is_nothing_to_show(send):
    send(("a", make_report()))

    with pytest.raises(NothingToShow) as caught:
        pixels.render_png(Instance.objects.get())

    assert "Basic Text SR" in caught.value.message

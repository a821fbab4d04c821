"""From stored files to frames and pictures."""

import numpy as np
import pytest

from records.errors import NoSuchFrame, NothingToShow
from records.files import pixels
from records.models import Instance
from tests.dicom.files import make_dicom, make_report

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


@pytest.mark.parametrize(
    ("elements", "kind"),
    [
        ({}, "int16"),
        ({"RescaleIntercept": 40000, "RescaleSlope": 1}, "uint16"),
        ({"RescaleIntercept": 0, "RescaleSlope": "0.5"}, "float32"),
        ({"RescaleIntercept": -80000, "RescaleSlope": 1}, "float32"),
    ],
)
def test_read_values_hands_out_every_value_in_the_smallest_kind(send, elements, kind):
    send(("a", make_dicom(PhotometricInterpretation="MONOCHROME1", **elements)))
    instance = Instance.objects.get()

    values = pixels.read_values(instance)

    expected = pixels.read_frame(instance).pixels
    found = np.frombuffer(values.content, np.dtype(kind).newbyteorder("<"))
    assert (values.kind, values.rows, values.columns) == (kind, 16, 16)
    assert (values.function, values.is_inverted) == ("LINEAR", True)
    assert np.array_equal(found.reshape(16, 16), expected)


def test_read_values_refuses_colours_and_what_a_browser_can_not_hold(send, monkeypatch):
    colours = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    depth = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    shades = np.arange(16 * 16 * 3, dtype=np.uint8).tobytes()
    send(("a", make_dicom(**colours, **depth, PixelData=shades)), ("b", make_dicom()))
    grey, coloured = sorted(Instance.objects.all(), key=lambda one: one.is_colour)

    with pytest.raises(NothingToShow, match="colour"):
        pixels.read_values(coloured)
    monkeypatch.setattr(pixels, "VALUES_BYTES", 100)
    with pytest.raises(NothingToShow, match="too large"):
        pixels.read_values(grey)


def test_render_png_says_why_there_is_nothing_to_show(send):
    send(("a", make_report()))

    with pytest.raises(NothingToShow) as caught:
        pixels.render_png(Instance.objects.get())

    assert "Basic Text SR" in caught.value.message

"""From bytes to pixels: every kind of file, and every way in which one can be broken."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ml.errors import (
    FrameOutOfRange,
    ImageHasNoPixels,
    ImageTooLarge,
    ImageTruncated,
    ImageUnreadable,
    MLError,
    UnsupportedTransferSyntax,
)
from ml.images import encode_png, read_frames, to_display
from tests.ml.pictures import encode_picture, make_dicom, rename_syntax

GREY = np.random.default_rng(1).integers(0, 256, (64, 48), np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_read_frames_returns_the_pixels_when_a_picture_is_lossless(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    (frame,) = read_frames(encode_picture(GREY, kind, **options))
    assert not frame.is_colour
    assert (frame.rows, frame.columns) == (64, 48)
    np.testing.assert_array_equal(to_display(frame), GREY)


def test_read_frames_accepts_a_path_a_file_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encode_picture(GREY))
    with path.open("rb") as stream:
        sources = [path, str(path), stream, path.read_bytes()]
        shown = [to_display(read_frames(source)[0]) for source in sources]
    assert all(np.array_equal(one, GREY) for one in shown)


def test_read_frames_keeps_sixteen_bits_when_a_png_has_them() -> None:
    deep = np.linspace(1000, 3000, 64 * 48).astype(np.uint16).reshape(64, 48)
    (frame,) = read_frames(encode_picture(deep))
    np.testing.assert_array_equal(frame.pixels, deep.astype(np.float32))
    shown = to_display(frame)
    assert (shown.min(), shown.max()) == (0, 255)


def test_read_frames_turns_the_picture_when_exif_says_so() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = to_display(read_frames(encode_picture(GREY, "PNG", exif=exif))[0])
    np.testing.assert_array_equal(upright, np.rot90(GREY, -1))


def test_read_frames_tells_colour_from_grey_saved_as_colour() -> None:
    twin = np.stack([GREY] * 3, axis=-1)
    tinted = twin.copy()
    tinted[..., 0] = 255 - tinted[..., 0]
    assert not read_frames(encode_picture(twin))[0].is_colour
    assert read_frames(encode_picture(tinted))[0].is_colour
    assert not read_frames(make_dicom(twin))[0].is_colour
    np.testing.assert_array_equal(to_display(read_frames(make_dicom(tinted))[0]), tinted)


def test_read_frames_returns_the_asked_pages_when_a_tiff_has_several() -> None:
    pages = [Image.fromarray(np.full((32, 32), level, np.uint8)) for level in (10, 20, 30)]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    frames = read_frames(buffer.getvalue(), frames=[2, 0])
    assert [int(frame.pixels[0, 0]) for frame in frames] == [30, 10]
    with pytest.raises(FrameOutOfRange):
        read_frames(buffer.getvalue(), frames=[3])


def test_read_frames_returns_every_frame_when_a_dicom_has_several() -> None:
    stored = np.stack([np.full((8, 8), level, np.uint8) for level in (1, 2, 3)])
    content = make_dicom(stored.reshape(24, 8), Rows=8, NumberOfFrames=3)
    assert [int(frame.pixels[0, 0]) for frame in read_frames(content)] == [1, 2, 3]
    assert [int(frame.pixels[0, 0]) for frame in read_frames(content, frames=[1])] == [2]


def test_read_frames_reads_what_gates_need_when_a_dicom_says_it() -> None:
    (frame,) = read_frames(
        make_dicom(GREY, Modality="CR", PatientOrientation=["L", "F"], PixelSpacing=[0.2, 0.1])
    )
    assert frame.header["Modality"] == "CR"
    assert frame.header["PatientOrientation"] == "L\\F"
    assert frame.pixel_spacing == (0.2, 0.1)


BROKEN = {
    "empty": (b"", ImageUnreadable),
    "text": (b"nothing that anyone could show", ImageUnreadable),
    "other-kind": (b"GIF89a" + bytes(200), ImageUnreadable),
    "short-png": (encode_picture(GREY)[:-200], ImageTruncated),
    "short-jpeg": (encode_picture(GREY, "JPEG")[:-200], ImageTruncated),
    "short-webp": (encode_picture(GREY, "WEBP", lossless=True)[:-20], ImageTruncated),
    "short-dicom": (make_dicom(GREY)[:-200], ImageTruncated),
    "unknown-syntax": (rename_syntax(make_dicom(GREY), "1.2.840.9.9"), UnsupportedTransferSyntax),
    "wide": (make_dicom(GREY, Rows=40000, Columns=40000), ImageTooLarge),
    "long": (make_dicom(GREY, NumberOfFrames=1_000_000), ImageTooLarge),
    "no-rows": (make_dicom(GREY, Rows=0), ImageUnreadable),
    "odd-bits": (make_dicom(GREY, BitsAllocated=3), ImageUnreadable),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_read_frames_names_the_fault_when_a_file_is_bad(fault: str) -> None:
    content, error = BROKEN[fault]
    with pytest.raises(error) as caught:
        read_frames(content)
    assert caught.value.message
    assert caught.value.action


def test_read_frames_decodes_nothing_when_a_picture_announces_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = encode_picture(np.zeros((8000, 8001), np.uint8))
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(ImageTooLarge):
        read_frames(content)


def test_read_frames_refuses_when_a_deflated_dicom_is_a_bomb(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = make_dicom(np.zeros((512, 512), np.uint8), syntax=DeflatedExplicitVRLittleEndian)
    assert len(content) < 2000
    assert read_frames(content)[0].is_constant
    monkeypatch.setattr("ml.images.dicom.MAX_INFLATED_BYTES", 100_000)
    with pytest.raises(ImageTooLarge):
        read_frames(content)


def test_read_frames_flags_a_blank_image_when_every_pixel_is_the_same() -> None:
    assert read_frames(make_dicom(np.full((16, 16), 7, np.uint16)))[0].is_constant
    assert not read_frames(make_dicom(GREY))[0].is_constant


def test_read_frames_flags_no_image_when_a_single_pixel_differs() -> None:
    for place in ((0, 0), (1, 0), (17, 31), (39, 39)):
        pixels = np.full((40, 40), 7, np.uint16)
        pixels[place] = 8
        assert not read_frames(make_dicom(pixels))[0].is_constant


def test_encode_png_gives_back_the_same_picture() -> None:
    with Image.open(io.BytesIO(encode_png(GREY))) as image:
        np.testing.assert_array_equal(np.asarray(image), GREY)


def test_read_frames_ends_in_frames_or_a_known_error_when_files_are_hostile(shared: Path) -> None:
    read = refused = 0
    for path in sorted((shared / "dicom" / "malformed").iterdir()):
        try:
            read += all(to_display(frame).dtype == np.uint8 for frame in read_frames(path))
        except MLError:
            refused += 1
    assert read
    assert refused


def test_read_frames_refuses_reports_and_directories(shared: Path) -> None:
    for name in ("reportsi.dcm", "rtplan.dcm", "DICOMDIR"):
        with pytest.raises(ImageHasNoPixels):
            read_frames(shared / "dicom" / "assorted" / name)


@pytest.mark.parametrize("name", ["CT2_J2KR", "CT2_RLE", "CT2_JPLL", "CT2_JLSL", "US1_J2KI"])
@pytest.mark.filterwarnings("ignore:End of file reached")
def test_read_frames_says_truncated_when_compressed_data_ends_early(
    shared: Path, name: str
) -> None:
    content = (shared / "dicom" / "transfer-syntaxes" / name).read_bytes()
    assert not read_frames(content)[0].is_constant
    with pytest.raises(ImageTruncated):
        read_frames(content[: len(content) * 9 // 10])

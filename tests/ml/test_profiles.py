"""ICC profiles of pictures and of DICOM objects: applied once, or ignored and said so."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms
from pydicom.uid import VLPhotographicImageStorage

from ml.images import ProfileUse, read_frames, read_picture, to_display
from tests.ml.pictures import encode_picture, make_dicom
from tests.ml.profiles import linear_grey_profile, swapping_profile

RED, BLUE = (220, 40, 30), (30, 40, 220)
PICTURE = np.full((20, 30, 3), RED, np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def near(pixels: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixels.astype(int) - colour).max() <= 3)


@pytest.mark.parametrize(
    ("profile", "use", "colour"),
    [
        (swapping_profile(), ProfileUse.APPLIED, BLUE),
        (SRGB, ProfileUse.NONE, RED),
        (b"no profile at all", ProfileUse.IGNORED, RED),
        (swapping_profile()[:300], ProfileUse.IGNORED, RED),
        (linear_grey_profile(), ProfileUse.IGNORED, RED),
        (b"", ProfileUse.NONE, RED),
    ],
    ids=["swapped", "sRGB", "garbage", "cut", "of grey", "none"],
)
def test_profile_is_applied_to_pictures_and_objects_alike(profile, use, colour) -> None:
    with_profile = {"ICCProfile": profile} if profile else {}
    jpeg = encode_picture(PICTURE, "JPEG", quality=100, icc_profile=profile or None)
    contents = [
        encode_picture(PICTURE, "PNG", icc_profile=profile or None),
        make_dicom(PICTURE, SOPClassUID=VLPhotographicImageStorage, **with_profile),
        jpeg,
    ]
    for content in contents:
        frame = read_frames(content)[0]
        assert (frame.profile_use, near(to_display(frame), colour)) == (use, True)


def test_profile_of_a_palette_image_is_applied() -> None:
    fields = {
        f"{name}PaletteColorLookupTable{part}": value
        for name, level in zip(("Red", "Green", "Blue"), RED, strict=True)
        for part, value in (("Descriptor", [256, 0, 8]), ("Data", bytes([level]) * 256))
    }
    content = make_dicom(
        np.zeros((4, 6), np.uint8),
        PhotometricInterpretation="PALETTE COLOR",
        ICCProfile=swapping_profile(),
        **fields,
    )
    assert near(to_display(read_frames(content)[0]), BLUE)


def test_grey_profile_is_applied_to_grey_and_left_out_of_deep_grey() -> None:
    levels = np.tile(np.linspace(0, 255, 32, dtype=np.uint8), (8, 1))
    shallow = read_picture(encode_picture(levels, icc_profile=linear_grey_profile()))
    deep = read_picture(
        encode_picture(levels.astype(np.uint16) * 257, icc_profile=linear_grey_profile())
    )
    # Half the light is level 188 in sRGB.
    assert abs(int(np.interp(128, levels[0], shallow.pixels[0])) - 188) <= 3
    assert shallow.profile_use is ProfileUse.APPLIED
    assert deep.profile_use is ProfileUse.IGNORED
    assert np.array_equal(deep.pixels, levels.astype(np.uint16) * 257)


def test_broken_profile_of_printers_inks_changes_nothing() -> None:
    inks = Image.new("CMYK", (8, 6), (0, 200, 200, 0))
    plain = encode_picture(np.asarray(inks.convert("RGB")))
    buffer = io.BytesIO()
    inks.save(buffer, "JPEG", quality=100, icc_profile=swapping_profile())
    picture = read_picture(buffer.getvalue())
    assert picture.profile_use is ProfileUse.IGNORED
    assert np.abs(picture.pixels.astype(int) - read_picture(plain).pixels).max() <= 4

"""WebP and TIFF at every door, as Pillow writes them: what becomes of them, and what is refused."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image
from pydicom import dcmread
from rest_framework.test import APIClient

from accounts.roles import Role
from ml.errors import ImageHasSeveralPictures
from ml.images import read_frames, to_display
from records.choices import Origin
from records.models import Instance
from records.services import DeclaredFields, open_submission
from tests.dicom.files import make_zip
from tests.factories import make_user
from tests.ml.profiles import swapping_profile
from tests.records.tus import Tus

pytestmark = pytest.mark.django_db

WHO = DeclaredFields(patient_id="P-7", modality="OT")
UP = 6  # the tag Orientation of a camera held upright
RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (24, 32), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (24, 32), dtype=np.uint16)
COLOURS = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
OPAQUE = np.dstack([COLOURS, np.full((24, 32), 255, np.uint8)])
CLEAR = np.dstack([COLOURS, np.zeros((24, 32), np.uint8)])
INKS = RNG.integers(0, 256, (24, 32, 4), dtype=np.uint8)


def encode(pixels: np.ndarray, kind: str, *, mode: str | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels) if mode is None else Image.frombytes(mode, (32, 24), pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def encode_several(kind: str, *, count: int = 3) -> bytes:
    first, *rest = (Image.fromarray(np.roll(COLOURS, 3 * n, axis=1)) for n in range(count))
    buffer = io.BytesIO()
    first.save(buffer, kind, save_all=True, append_images=rest, duration=90, lossless=True)
    return buffer.getvalue()


def encode_with_preview() -> bytes:
    """A TIFF whose second page is a reduced copy of its first."""
    buffer = io.BytesIO()
    page, preview = Image.fromarray(GREY), Image.fromarray(GREY[::4, ::4])
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    page.save(buffer, "TIFF", save_all=True, append_images=[preview])
    return buffer.getvalue()


def rotated() -> dict[str, Any]:
    exif = Image.Exif()
    exif[0x0112] = UP
    return {"exif": exif}


def send_by_api(content: bytes, name: str, department: Any, committing: Any) -> dict[str, Any]:
    client = APIClient()
    client.force_authenticate(make_user(Role.INTEGRATOR, department=department, username="pacs"))
    files = {"files": [SimpleUploadedFile(name, content)], "patient_id": "P-7"}
    return client.post("/api/v1/submissions/", files, format="multipart").json()["files"][-1]


def send_by_form(content: bytes, name: str, department: Any, committing: Any) -> dict[str, Any]:
    """As the page's uploader does."""
    user = make_user(Role.TECHNICIAN, department=department)
    client = APIClient()
    client.force_login(user)
    batch = open_submission(actor=user, department=department, declared=WHO, origin=Origin.WEB)
    Tus(client, batch, committing).create(size=len(content), body=content, name=name)
    file = batch.files.get()
    return {"verdict": file.verdict, "code": file.code, "message": file.message}


def send_in_archive(content: bytes, name: str, *rest: Any) -> dict[str, Any]:
    return send_by_api(make_zip({f"scans/{name}": content}), "scans.zip", *rest)


DOORS = [send_by_api, send_by_form, send_in_archive]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", ["WEBP", "TIFF"])
def test_picture_is_taken_at_every_door_whatever_it_is_called(
    door: Callable[..., dict[str, Any]], kind: str, department, django_capture_on_commit_callbacks
):
    content = encode(COLOURS, kind, lossless=True)

    told = door(content, "photo.png", department, django_capture_on_commit_callbacks)

    assert (told["verdict"], told["code"]) == ("stored", "stored")
    image = dcmread(Instance.objects.get().file.path)
    assert np.array_equal(image.pixel_array, COLOURS)
    assert image.LossyImageCompression == "00"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", ["WEBP", "TIFF"])
def test_several_pictures_are_refused_at_every_door(
    door: Callable[..., dict[str, Any]], kind: str, department, django_capture_on_commit_callbacks
):
    content = encode_several(kind)

    told = door(content, "scan", department, django_capture_on_commit_callbacks)

    assert (told["verdict"], told["code"]) == ("rejected", "several_pictures")
    assert "3 pictures" in told["message"]
    assert not Instance.objects.exists()


@pytest.mark.parametrize(
    ("content", "shown", "bits"),
    [
        (encode(GREY, "TIFF"), GREY, 8),
        (encode(GREY, "TIFF", compression="tiff_lzw"), GREY, 8),
        (encode(GREY, "TIFF", compression="tiff_adobe_deflate"), GREY, 8),
        (encode(DEEP, "TIFF"), DEEP, 16),
        (encode(DEEP, "TIFF", compression="tiff_lzw"), DEEP, 16),
        (encode(DEEP.astype(np.int32), "TIFF"), DEEP, 16),
        (encode(COLOURS, "TIFF", compression="tiff_lzw"), COLOURS, 8),
        (encode(OPAQUE, "TIFF"), COLOURS, 8),
        (encode(CLEAR, "TIFF"), COLOURS, 8),
        (encode(OPAQUE, "WEBP", lossless=True, exact=True), COLOURS, 8),
        (encode(CLEAR, "WEBP", lossless=True, exact=True), COLOURS, 8),
        (encode(COLOURS, "TIFF", **rotated()), np.rot90(COLOURS, -1), 8),
        (encode(DEEP, "TIFF", **rotated()), np.rot90(DEEP, -1), 16),
        (encode(COLOURS, "WEBP", lossless=True, **rotated()), np.rot90(COLOURS, -1), 8),
        (encode_with_preview(), GREY, 8),
    ],
    ids=[
        *("grey", "lzw", "deflate", "deep", "deep lzw", "32 bit", "colours", "alpha", "clear"),
        *("webp alpha", "webp clear", "upright", "deep upright", "webp upright", "preview"),
    ],
)
def test_pixels_come_through_unchanged(send_one, content: bytes, shown: np.ndarray, bits: int):
    verdict = send_one(content, declared=WHO)

    assert (verdict.verdict, verdict.code) == ("stored", "stored"), verdict.message
    image = dcmread(Instance.objects.get().file.path)
    assert image.BitsStored == bits
    assert np.array_equal(image.pixel_array, shown)


@pytest.mark.parametrize("scale", [1.0, 1 / 65535, -1.0])
def test_values_that_16_bits_do_not_hold_are_spread_and_that_is_said(send_one, scale: float):
    values = DEEP.astype(np.float32) * scale
    content = encode(values, "TIFF")

    verdict = send_one(content, declared=WHO)

    path = Path(Instance.objects.get().file.path)
    (sent,), (held,) = read_frames(content), read_frames(path)
    assert np.abs(to_display(sent).astype(int) - to_display(held)).max() <= 1
    assert ("spread over 16 bits" in verdict.message) == (scale != 1)


@pytest.mark.parametrize("kind", ["TIFF", "WEBP"])
def test_profile_is_applied(send_one, kind: str):
    content = encode(COLOURS, kind, lossless=True, icc_profile=swapping_profile())

    verdict = send_one(content, declared=WHO)

    assert "converted from its own colour profile" in verdict.message
    image = dcmread(Instance.objects.get().file.path)
    assert np.abs(image.pixel_array[..., 0].astype(int) - COLOURS[..., 2]).mean() < 8


def test_printers_inks_become_colours(send_one):
    content = encode(INKS.tobytes(), "TIFF", mode="CMYK")

    verdict = send_one(content, declared=WHO)

    assert verdict.verdict == "stored"
    image = dcmread(Instance.objects.get().file.path)
    expected = np.asarray(Image.frombytes("CMYK", (32, 24), INKS.tobytes()).convert("RGB"))
    assert np.array_equal(image.pixel_array, expected)


@pytest.mark.parametrize(
    ("content", "method"),
    [
        (encode(COLOURS, "WEBP", quality=80), "RFC_9649"),
        (encode(OPAQUE, "WEBP", quality=80, **rotated()), "RFC_9649"),
        (encode(COLOURS, "TIFF", compression="jpeg"), "ISO_10918_1"),
    ],
    ids=["webp", "extended webp", "jpeg in tiff"],
)
def test_loss_stays_known_for_ever(send_one, content: bytes, method: str):
    send_one(content, declared=WHO)

    image = dcmread(Instance.objects.get().file.path)
    assert image.LossyImageCompression == "01"
    assert image.LossyImageCompressionMethod == method
    assert float(image.LossyImageCompressionRatio) >= 1


@pytest.mark.parametrize("kind", ["TIFF", "WEBP"])
def test_half_a_file_is_refused(send_one, kind: str):
    content = encode(COLOURS, kind, lossless=True)

    verdict = send_one(content[: len(content) // 2], declared=WHO)

    assert (verdict.verdict, verdict.code) == ("rejected", "image_unreadable")


@pytest.mark.parametrize("kind", ["TIFF", "WEBP"])
def test_picture_without_a_patient_is_refused(send_one, kind: str):
    verdict = send_one(encode(COLOURS, kind), declared=DeclaredFields())

    assert verdict.code == "patient_required"


def test_same_picture_again_is_a_duplicate(send_one):
    content = encode(COLOURS, "WEBP", lossless=True)
    send_one(content, declared=WHO)

    assert send_one(content, declared=WHO).verdict == "duplicate"


def test_predict_takes_pages_as_frames_and_no_animation():
    assert len(read_frames(encode_several("TIFF"))) == 3
    assert len(read_frames(encode_with_preview())) == 1
    with pytest.raises(ImageHasSeveralPictures, match="3 pictures"):
        read_frames(encode_several("WEBP"))

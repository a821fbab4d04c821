"""Depths and forms of pixels that decode are stored, shown, sent and exported at every door."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian, SecondaryCaptureImageStorage

from accounts.roles import Role
from ml.images import read_frames, to_display
from records import tasks
from records.choices import ExportState
from records.dicom.deidentification import Options
from records.dimse.retrieve import open_as_taken
from records.files.pixels import iter_frames
from records.services import request_export
from tests.dicom.files import make_dicom
from tests.factories import make_user
from tests.records.dicomweb.answers import get, parts_of, url_of

pytestmark = pytest.mark.django_db

SIDE = 16
RAMP = np.linspace(0, 1, SIDE * SIDE).reshape(SIDE, SIDE)


def whole(bits: int, kind: str) -> dict:
    """A ramp over most of so many bits, in cells of 32."""
    low = -(1 << (bits - 2)) if kind == "i" else 0
    values = (low + RAMP * ((1 << (bits - 1)) - 2)).astype(f"<{kind}4")
    content = values.tobytes()
    if bits == 24:
        content = values.view("u1").reshape(-1, 4)[:, :3].tobytes()
    return {
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(kind == "i"),
        "PixelData": content,
    }


def fractions(keyword: str, *, has_background: bool = False) -> dict:
    values = RAMP.astype("<f4" if keyword == "FloatPixelData" else "<f8") / 7
    if has_background:
        values[:4] = np.nan
    bits = 8 * values.dtype.itemsize
    return {"PixelData": None, keyword: values.tobytes(), "BitsAllocated": bits}


HALF_FULL = {
    "SamplesPerPixel": 3,
    "PlanarConfiguration": 0,
    "PhotometricInterpretation": "YBR_FULL_422",
    **dict.fromkeys(("BitsAllocated", "BitsStored"), 8),
    "HighBit": 7,
    "PixelData": np.random.default_rng(1).integers(0, 256, 3 * SIDE * SIDE, np.uint8).tobytes(),
}
FORMS = {
    "32 bits": whole(32, "u"),
    "32 bits signed": whole(32, "i"),
    "24 bits": whole(24, "u"),
    "24 bits signed": whole(24, "i"),
    "float": fractions("FloatPixelData"),
    "double": fractions("DoubleFloatPixelData"),
    "float with background": fractions("FloatPixelData", has_background=True),
    "colours of full length": HALF_FULL,
}


@pytest.fixture
def reviewer(client, department):
    user = make_user(Role.REVIEWER, department=department)
    client.force_login(user)
    return user


@pytest.mark.parametrize("form", FORMS)
def test_what_decodes_is_the_same_at_every_door(send_one, client, reviewer, form):
    content = make_dicom(SOPClassUID=SecondaryCaptureImageStorage, **FORMS[form])
    shown = to_display(read_frames(content)[0])

    verdict = send_one(content)
    instance = verdict.instance

    assert (verdict.code, instance.exclusion) == ("stored", "")
    assert np.array_equal(to_display(next(iter_frames(instance))), shown)
    page = client.get(f"/instances/{instance.pk}/frames/1.png")
    assert np.array_equal(picture_in(page.getvalue()), shown)
    url = url_of(instance)
    for ending in ("rendered", "frames/1/rendered"):
        answer = get(client, f"{url}/{ending}", "image/png")
        assert np.array_equal(picture_in(answer.getvalue()), shown), ending
    assert get(client, f"{url}/thumbnail", "image/jpeg").status_code == 200
    frame = get(client, f"{url}/frames/1", "multipart/related; type=application/octet-stream")
    ((_, pixels),) = parts_of(frame)
    assert pixels == pixels_of(content)
    bulk = client.get(f"{url}/bulkdata/{tag_of(content)}")
    assert bulk.status_code == 200
    for syntax in (instance.transfer_syntax_uid, ImplicitVRLittleEndian):
        with open_as_taken(instance, [syntax]) as taken:
            sent = b"".join(iter(lambda: taken.file.read(65536), b""))
        assert pixels_of(content) in sent


@pytest.mark.parametrize("form", FORMS)
def test_what_decodes_leaves_in_an_export_with_its_values(
    send_one: Callable, reviewer, form, tmp_path
):
    content = make_dicom(SOPClassUID=SecondaryCaptureImageStorage, **FORMS[form])
    study = send_one(content).study
    options = Options()
    export = request_export(
        actor=reviewer, studies=[study], project="p", purpose="q", options=options
    )

    tasks.prepare_next_export()

    export.refresh_from_db()
    assert export.state in (ExportState.READY, ExportState.HELD)
    if export.state == ExportState.READY:
        import zipfile

        with export.file.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith(".dcm")]
            copy = archive.read(name)
        assert np.array_equal(to_display(read_frames(copy)[0]), to_display(read_frames(content)[0]))


def picture_in(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def pixels_of(content: bytes) -> bytes:
    dataset = dcmread(io.BytesIO(content))
    return bytes(dataset[int(tag_of(content), 16)].value)


def tag_of(content: bytes) -> str:
    dataset = dcmread(io.BytesIO(content))
    return next(tag for tag in ("7FE00008", "7FE00009", "7FE00010") if int(tag, 16) in dataset)

"""One object written in many ways is one object; another one under its UID is a contradiction."""

import io
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    MPEG4HP41,
    JPEG2000Lossless,
    RLELossless,
)

from records.models import Instance, QuarantinedFile, SubmissionFile
from records.services import submit_study
from tests.dicom.files import make_dicom, make_item
from tests.prerequisites import require_program
from tests.records.dicomweb.messages import HELD, answer_of, body_of, store
from tests.records.test_concurrency import run_at_once

Change = Callable[[pydicom.Dataset], None]
SIDE = 64
ICON = make_item(
    Rows=1,
    Columns=2,
    SamplesPerPixel=1,
    PhotometricInterpretation="MONOCHROME2",
    BitsAllocated=8,
    BitsStored=8,
    HighBit=7,
    PixelRepresentation=0,
    PixelData=b"\x01\x02",
)


def written(dataset: pydicom.Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def changed(content: bytes, change: Change) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(content))
    change(dataset)
    return written(dataset)


def by_dcmtk(folder: Path, content: bytes, program: str, *options: str) -> bytes:
    """A file as dcmtk writes it anew."""
    require_program(program, "dcmtk")
    before, after = folder / "before.dcm", folder / "after.dcm"
    before.write_bytes(content)
    subprocess.run([program, *options, str(before), str(after)], check=True, capture_output=True)
    return after.read_bytes()


def slice_of_a_hospital(**elements) -> bytes:
    """A slice with what is written differently by different systems."""
    item = make_item(
        ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID="1.2"
    )
    content = make_dicom(
        SpecificCharacterSet="ISO_IR 100",
        PatientName="Müller^Jörg^^^",
        StudyDescription="Schädel ",
        RescaleSlope="1.50",
        RescaleIntercept="-1024",
        WindowCenter=["40", "300"],
        SmallestImagePixelValue=0,
        ReferencedImageSequence=[item, item],
        IconImageSequence=[ICON],
        Rows=SIDE,
        Columns=SIDE,
        PixelData=np.arange(SIDE * SIDE, dtype="<u2").tobytes(),
        RedPaletteColorLookupTableData=np.arange(64, dtype="<u2").tobytes(),
        **elements,
    )

    def add(dataset: pydicom.Dataset) -> None:
        block = dataset.private_block(0x0029, "SIEMENS OF SORTS", create=True)
        block.add_new(0x01, "LO", "a private text")
        block.add_new(0x02, "OB", bytes(range(7)) + b"\0")
        block.add_new(0x03, "DS", ["1.5", "2.5"])
        block.add_new(0x04, "SQ", [make_item(PatientComments="in a private sequence")])
        block.add_new(0x05, "US", 32)

    return changed(content, add)


def in_colour(**elements) -> bytes:
    rng = np.random.default_rng(7)
    return make_dicom(
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=0,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        Rows=SIDE,
        Columns=SIDE,
        PixelData=rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8).tobytes(),
        **elements,
    )


def compressed(content: bytes, syntax: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(content))
    dataset.compress(syntax, generate_instance_uid=False)
    return written(dataset)


def in_utf_8(dataset: pydicom.Dataset) -> None:
    dataset.decode()
    dataset.SpecificCharacterSet = "ISO_IR 192"


def by_planes(dataset: pydicom.Dataset) -> None:
    dataset.PixelData = dataset.pixel_array.transpose(2, 0, 1).tobytes()
    dataset.PlanarConfiguration = 1


def spell(dataset: pydicom.Dataset) -> None:
    dataset.RescaleSlope = "1.5"
    dataset.StudyDescription = "Schädel"


DCMTK_WAYS = {
    "implicit": ("dcmconv", "+ti"),
    "implicit, lengths open": ("dcmconv", "+ti", "-e"),
    "big endian": ("dcmconv", "+tb"),
    "deflated": ("dcmconv", "+td"),
    "group lengths, lengths open, padded": ("dcmconv", "+g", "-e", "+p", "512", "64"),
    "RLE": ("dcmcrle",),
    "JPEG lossless": ("dcmcjpeg", "+e1"),
    "JPEG-LS": ("dcmcjpls",),
}
WAYS: dict[str, Callable[[bytes], bytes]] = {
    "JPEG 2000": lambda content: compressed(content, JPEG2000Lossless),
    "UTF-8": lambda content: changed(content, in_utf_8),
    "spelled differently": lambda content: changed(content, spell),
}
COLOUR_WAYS: dict[str, Callable[[bytes], bytes]] = {
    "by planes": lambda content: changed(content, by_planes),
    "RLE": lambda content: compressed(content, RLELossless),
    "JPEG 2000": lambda content: compressed(content, JPEG2000Lossless),
}


@pytest.mark.django_db
def test_object_written_in_another_way_is_a_duplicate_in_both_directions(send_one, tmp_path):
    ways = WAYS | {
        name: lambda content, command=command: by_dcmtk(tmp_path, content, *command)
        for name, command in DCMTK_WAYS.items()
    }
    makers = [(make, name, way) for make, found in MAKERS for name, way in (found or ways).items()]
    for make, name, way in makers:
        for is_reverse in (False, True):
            content = make()
            files = [content, way(content)]
            first, again = (send_one(each) for each in (reversed(files) if is_reverse else files))
            assert (first.verdict, again.code) == ("stored", "duplicate"), (name, is_reverse)
            assert again.instance == first.instance
            assert first.instance.sha256 == first.sha256 != again.sha256
    assert not QuarantinedFile.objects.exists()
    assert Instance.objects.count() == 2 * len(makers)


MAKERS = [(slice_of_a_hospital, None), (in_colour, COLOUR_WAYS)]


def other_element(keyword: str, value: object) -> Change:
    return lambda dataset: setattr(dataset, keyword, value)


def other_pixel(dataset: pydicom.Dataset) -> None:
    pixels = dataset.pixel_array.copy()
    pixels[3, 3] += 1
    dataset.PixelData = pixels.tobytes()


def other_private_value(dataset: pydicom.Dataset) -> None:
    dataset.private_block(0x0029, "SIEMENS OF SORTS")[0x05].value = 0


def without(keyword: str) -> Change:
    return lambda dataset: delattr(dataset, keyword)


@pytest.mark.django_db
def test_other_content_under_a_held_uid_is_a_contradiction_however_it_is_written(
    send_one, tmp_path
):
    content = slice_of_a_hospital()
    first = send_one(content)
    changes: list[Change] = [
        other_element("InstanceNumber", 2),
        other_element("RescaleIntercept", "-1023"),
        other_element("PhotometricInterpretation", "MONOCHROME1"),
        other_element("PatientName", "Müller^Jürg"),
        other_element("WindowCenter", ["40"]),
        other_element("ReferencedImageSequence", []),
        lambda dataset: other_element("Rows", 2)(dataset.IconImageSequence[0]),
        other_pixel,
        other_private_value,
        without("StudyDescription"),
    ]
    for number, change in enumerate(changes):
        command = ("dcmcrle",) if change is other_pixel else ("dcmconv", "+ti")
        other = by_dcmtk(tmp_path, changed(content, change), *command)
        assert send_one(other).code in {"uid_conflict", "study_patient_mismatch"}, number
    # The very bytes of the names, which spell others now.
    in_cyrillic = content.replace(b"ISO_IR 100", b"ISO_IR 144")
    assert send_one(in_cyrillic).code in {"uid_conflict", "study_patient_mismatch"}
    colours = in_colour()
    send_one(colours)
    assert send_one(by_dcmtk(tmp_path, colours, "dcmcjpeg", "+eb", "+un")).code == "uid_conflict"
    first.instance.refresh_from_db()
    assert first.instance.sha256 == first.sha256


@pytest.mark.django_db
def test_pixels_that_cannot_be_decoded_are_the_same_only_byte_by_byte(send_one):
    film = make_dicom(syntax=MPEG4HP41, PixelData=pydicom.encaps.encapsulate([b"\0\0\1\xba" * 9]))
    first = send_one(film)

    same = changed(film, in_utf_8)
    other = film.replace(b"\0\0\1\xba" * 9, b"\0\0\1\xbb" * 9)

    assert first.verdict == "stored"
    assert send_one(same).code == "duplicate"
    assert send_one(other).code == "uid_conflict"


@pytest.mark.django_db
def test_store_holds_what_was_uploaded_in_another_syntax(client, technician, send_one, tmp_path):
    client.force_login(technician)
    content = slice_of_a_hospital()
    first = send_one(content)
    study = first.instance.series.study.study_instance_uid

    other = by_dcmtk(tmp_path, content, "dcmcrle")
    response = store(client, body_of(other), path=f"studies/{study}")

    assert response.status_code == 200
    assert len(answer_of(response)[HELD]["Value"]) == 1
    assert Instance.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_object_in_many_syntaxes_at_once_is_stored_once(technician, department, tmp_path):
    content = slice_of_a_hospital()
    files = [content, *(by_dcmtk(tmp_path, content, *command) for command in DCMTK_WAYS.values())]

    failures = run_at_once(
        lambda number: submit_study(
            actor=technician,
            department=department,
            files=[("a", io.BytesIO(files[number % len(files)]))],
        )
    )

    assert failures == []
    verdicts = Counter(SubmissionFile.objects.values_list("verdict", flat=True))
    assert verdicts["stored"] == 1
    assert set(verdicts) == {"stored", "duplicate"}
    assert Instance.objects.count() == 1

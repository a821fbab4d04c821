"""Headers that break pydicom in its rarer ways: a verdict that says so, never an error of ours."""

import struct

import pytest

from tests.dicom.files import make_dicom

pytestmark = pytest.mark.django_db


def put_before_patient(element: bytes) -> bytes:
    whole = make_dicom()
    place = whole.index(b"\x10\x00\x10\x00PN")
    return whole[:place] + element + whole[place:]


def cut_item() -> bytes:
    """A sequence that ends in the middle of an item's header."""
    whole = make_dicom()
    opening = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF)
    return whole[: whole.index(b"\xe0\x7f\x10\x00")] + opening + b"\xfe\xff\x00"


def odd_number() -> bytes:
    """Rows in three bytes, where numbers have two."""
    whole = make_dicom()
    place = whole.index(b"\x28\x00\x10\x00US")
    number = struct.pack("<HH2sH", 0x0028, 0x0010, b"US", 3) + b"\x10\x00\x00"
    return whole[:place] + number + whole[place + 10 :]


def odd_offset() -> bytes:
    """A time zone in the type of a number, and in five bytes."""
    return put_before_patient(struct.pack("<HH2sH", 0x0008, 0x0201, b"UL", 5) + b"+0100")


def two_syntaxes() -> bytes:
    """A transfer syntax that a backslash makes two."""
    return make_dicom().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008\\1.2.1\0")


def syntax_of_a_hundred_characters() -> bytes:
    """A transfer syntax longer than any UID, in meta information that is whole otherwise."""
    syntax = b"1.2.840.10008.1.2.1" + b".1" * 40 + b"\0"
    whole = make_dicom().replace(
        b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI" + struct.pack("<H", len(syntax)) + syntax
    )
    (length,) = struct.unpack_from("<I", whole, 140)
    return whole[:140] + struct.pack("<I", length + len(syntax) - 20) + whole[144:]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (cut_item, "dicom_unreadable"),
        (odd_number, "dicom_unreadable"),
        (odd_offset, "stored"),
        (two_syntaxes, "dicom_unreadable"),
        (syntax_of_a_hundred_characters, "dicom_unreadable"),
    ],
    ids=["cut item", "number of three bytes", "value of no use", "two syntaxes", "long syntax"],
)
def test_file_gets_a_verdict_when_its_header_is_broken(send_one, make, code):
    found = send_one(make())

    assert found.code == code


@pytest.mark.parametrize(
    ("keyword", "letters"),
    [
        ("Modality", 16),
        ("BodyPartExamined", 64),
        ("Laterality", 16),
        ("ViewPosition", 16),
        ("PatientAge", 4),
    ],
)
def test_code_fits_its_column_when_its_capitals_are_longer(send_one, keyword, letters):
    """The capital of ß is SS."""
    content = make_dicom(**{keyword: "X" * letters}, SpecificCharacterSet="ISO_IR 100")

    found = send_one(content.replace(b"X" * letters, b"\xdf" * letters))

    assert found.code == "stored"

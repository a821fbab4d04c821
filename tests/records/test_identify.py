"""Which object a stream belongs to, by its first bytes."""

import io

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from records.dicom.reading.identity import FIRST_BYTES
from records.facts import Peeked
from tests.dicom.files import make_dicom

WANTED = ("SOPClassUID", "SOPInstanceUID")
FILE = make_dicom()


def uids_of(content: bytes) -> tuple[str, ...]:
    dataset = pydicom.dcmread(io.BytesIO(content), force=True, specific_tags=list(WANTED))
    return tuple(str(dataset.get(keyword, "")) for keyword in WANTED)


def seen_in(content: bytes) -> tuple[str, ...]:
    identity = Peeked(io.BytesIO(content)).identity
    return identity.sop_class_uid, identity.sop_instance_uid


def with_nested_items(*, is_undefined: bool) -> bytes:
    """A sequence before the object's UID, whose item names another object."""
    inner, outer = pydicom.Dataset(), pydicom.Dataset()
    inner.SOPInstanceUID = "1.2.3"
    inner.is_undefined_length_sequence_item = is_undefined
    outer.ReferencedSeriesSequence = [inner]
    outer.is_undefined_length_sequence_item = is_undefined
    dataset = pydicom.dcmread(io.BytesIO(FILE))
    dataset.LanguageCodeSequence = [outer, outer]
    dataset["LanguageCodeSequence"].is_undefined_length = is_undefined
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        make_dicom(syntax=ExplicitVRLittleEndian),
        make_dicom(syntax=ImplicitVRLittleEndian),
        make_dicom(syntax=DeflatedExplicitVRLittleEndian),
        FILE[FILE.index(b"\x08\0\5\0") :],
        with_nested_items(is_undefined=False),
        with_nested_items(is_undefined=True),
        make_dicom(syntax=ImplicitVRLittleEndian, DerivationDescription="x" * 300_000),
    ],
    ids=["explicit", "implicit", "deflated", "bare", "nested", "nested, open", "long"],
)
def test_peeked_knows_the_object_and_gives_back_every_byte(content):
    assert seen_in(content) == uids_of(content)
    peeked = Peeked(io.BytesIO(content))
    assert b"".join(iter(lambda: peeked.read(1000), b"")) == content


@given(st.data())
def test_peeked_takes_any_bytes(data):
    content = bytearray(FILE)
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(128, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))

    assert len(seen_in(bytes(content[:cut]))) == len(WANTED)


@given(st.binary(max_size=400))
def test_peeked_takes_noise(noise):
    assert len(seen_in(noise)) == len(seen_in(FILE[:140] + noise)) == len(WANTED)


def test_peeked_gives_up_on_elements_without_end():
    tiny = b"\x08\0\x01\0" + b"UI\0\0"

    assert seen_in(tiny * (FIRST_BYTES // 8)) == ("", "")

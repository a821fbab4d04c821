"""Damaged headers: some of the many that `tests.fuzz.fuzz_headers` makes, and all its seeds."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from tests.dicom.files import make_dicom
from tests.fuzz.fuzz_headers import FOUND, SEEDS, try_header
from tests.fuzz.fuzz_images import fuzz, read_seeds

EXECUTIONS = 400
WHOLE = make_dicom()
PATIENT = WHOLE.index(b"\x10\x00\x10\x00PN")
VRS = (b"AS", b"AT", b"CS", b"DA", b"DS", b"FD", b"IS", b"LO", b"OB", b"OW", b"PN", b"SH", b"SQ")
VRS += (b"SS", b"TM", b"UI", b"UL", b"UN", b"US", b"UT", b"ZZ", b"\0\0")


@pytest.mark.parametrize("path", sorted(SEEDS.iterdir()), ids=lambda path: path.stem)
def test_every_seed_is_stored(path):
    """A seed that is refused at once would lead no case any further."""
    assert try_header(path.read_bytes()) in ("stored", "not_an_image")
    assert path.stat().st_size < 10_000


@pytest.mark.parametrize("path", sorted(FOUND.iterdir()), ids=lambda path: path.stem)
def test_file_that_once_broke_a_reader_gets_a_verdict(path):
    assert try_header(path.read_bytes())


def test_damaged_files_get_a_verdict():
    report = fuzz(read_seeds(SEEDS), seconds=100, executions=EXECUTIONS, salt=7, target=try_header)

    assert [(finding.number, finding.what) for finding in report.findings] == []
    assert report.executions == EXECUTIONS
    assert {"stored", "dicom_truncated", "dicom_unreadable"} <= set(report.outcomes)


@settings(max_examples=150, deadline=None)
@given(
    tag=st.sampled_from([*(element.tag for element in dcmread(io.BytesIO(WHOLE))), 0x00091010]),
    vr=st.sampled_from(VRS),
    value=st.binary(max_size=40),
    is_long=st.booleans(),
)
def test_file_gets_a_verdict_whatever_an_element_holds(tag, vr, value, *, is_long):
    """Any of its elements once more, of any type, with any value, before the patient's name."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    length = struct.pack("<HI", 0, len(value)) if is_long else struct.pack("<H", len(value))

    assert try_header(WHOLE[:PATIENT] + head + length + value + WHOLE[PATIENT:])

"""Which object the first bytes of a file belong to, before the whole of it has come."""

import io
import struct
import zlib
from dataclasses import dataclass

from pydicom import Dataset, dcmread
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from records.intake.storage import Readable
from records.intake.values import PARSE_ERRORS, read_text

FIRST_BYTES = 64 * 1024
MOST_BYTES = 4 * 1024 * 1024
META_START = 132
META_BYTES = 1024
WANTED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID")


@dataclass(frozen=True, slots=True)
class Identity:
    """The UIDs of an object, as far as its first bytes say."""

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""


class Peeked:
    """A stream whose first bytes were looked at; `identity` is what they say."""

    def __init__(self, source: Readable) -> None:
        """Read as much as it takes to know the study, within a limit."""
        self._source = source
        self._first = bytearray()
        wanted = FIRST_BYTES
        while True:
            is_over = self._read_up_to(wanted)
            self.identity = _identify(bytes(self._first))
            if self.identity.study_instance_uid or is_over or wanted >= MOST_BYTES:
                break
            wanted *= 8

    def read(self, size: int = -1, /) -> bytes:
        """Return the first bytes again, then those that follow."""
        if not self._first:
            return self._source.read(size)
        taken = bytes(self._first[:size] if size > 0 else self._first)
        del self._first[: len(taken)]
        return taken

    def _read_up_to(self, size: int) -> bool:
        while len(self._first) < size:
            data = self._source.read(size - len(self._first))
            if not data:
                return True
            self._first += data
        return False


def _identify(content: bytes) -> Identity:
    try:
        dataset = _read_head(content)
        values = {keyword: read_text(dataset, keyword, limit=64) for keyword in WANTED}
    except PARSE_ERRORS:
        return Identity()
    return Identity(values["SOPClassUID"], values["SOPInstanceUID"], values["StudyInstanceUID"])


def _read_head(content: bytes) -> Dataset:
    if DeflatedExplicitVRLittleEndian.encode("ascii") in content[:META_BYTES]:
        return _read_deflated(content)
    stream = io.BytesIO(content)
    return dcmread(stream, force=True, stop_before_pixels=True, specific_tags=list(WANTED))


def _read_deflated(content: bytes) -> Dataset:
    """PS3.10 7.1: the length of the file meta group is its first element, at byte 132."""
    (length,) = struct.unpack_from("<L", content, META_START + 8)
    start = META_START + 12 + length
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacked = inflater.decompress(content[start:], MOST_BYTES)
    return read_dataset(
        io.BytesIO(unpacked),
        is_implicit_VR=False,
        is_little_endian=True,
        specific_tags=[Tag(keyword) for keyword in WANTED],
    )

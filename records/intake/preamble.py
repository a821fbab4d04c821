"""DICOM data sets that lack the wrapping of a file (PS3.10): old systems write them so."""

import io
import struct

from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from records.errors import DicomUnreadable
from records.intake.values import PARSE_ERRORS, read_text

PREAMBLE = b"\0" * 128 + b"DICM"
META_GROUP = 0x0002
NOT_DICOM = "it lacks the preamble of a DICOM file, and isn't a bare data set either"


def missing_wrapping(content: bytes) -> bytes:
    """Return what has to stand before a bare data set to make it a DICOM file.

    The data set itself is kept byte for byte. Raises DicomUnreadable.
    """
    try:
        (group,) = struct.unpack_from("<H", content)
        if group == META_GROUP:
            return PREAMBLE
        dataset = dcmread(io.BytesIO(content), stop_before_pixels=True, force=True)
        is_implicit, is_little_endian = dataset.original_encoding
        sop_class = read_text(dataset, "SOPClassUID")
        sop_instance = read_text(dataset, "SOPInstanceUID")
    except PARSE_ERRORS as error:
        raise DicomUnreadable(detail=NOT_DICOM) from error
    if not sop_class or not sop_instance:
        raise DicomUnreadable(detail=NOT_DICOM)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance)
    meta.TransferSyntaxUID = _syntax(
        is_implicit=bool(is_implicit), is_little_endian=bool(is_little_endian)
    )
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta)
    return PREAMBLE + buffer.getvalue()


def _syntax(*, is_implicit: bool, is_little_endian: bool) -> UID:
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian

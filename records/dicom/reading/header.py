"""What a DICOM file says of itself: read with limits, checked for wholeness, cleaned for rows."""

import datetime as dt
import io
import re
from dataclasses import dataclass

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import _read_file_meta_info, read_dataset, read_preamble
from pydicom.sequence import Sequence
from pydicom.uid import UID, MediaStorageDirectoryStorage

from ml.images.absence import DEFLATED_SYNTAXES
from ml.images.geometry import find_slice_position
from ml.images.numbers import first_number
from ml.images.transforms import WINDOW, read_windows
from ml.inflating import Fault, NotInflated, inflate
from records.dicom.errors import (
    ContentHostile,
    Dicomdir,
    DicomTruncated,
    DicomUnreadable,
    FileTooLarge,
    MissingUid,
)
from records.dicom.reading.limits import ContentLimits
from records.dicom.reading.stated import Stated, read_stated
from records.dicom.reading.structure import PIXEL_DATA_TAGS, Geometry, check_structure
from records.dicom.reading.texts import Texts
from records.dicom.reading.values import (
    PARSE_ERRORS,
    read_code,
    read_date,
    read_floats,
    read_integer,
    read_text,
    read_value,
)

UID_PATTERN = re.compile(r"\d+(\.\d+)*")
UID_LENGTH = 64
ID_LENGTH = 64
# Longer values than this are private bulk data: skipped, not read into memory.
LONGEST_VALUE = 256 * 1024
META_START = 132


@dataclass(frozen=True, slots=True)
class PatientFields:
    """Whom the header names; empty where it doesn't say.

    `name` is a value of VR PN with all its component groups, `age` one of VR AS.
    """

    patient_id: str
    issuer: str
    name: str
    birth_date: dt.date | None
    sex: str
    age: str = ""


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """The fields that become rows.

    `stated` has the attributes of the table (`records/dicom/attributes.py`), the others are read
    and judged each in its own way. Dates and times are the wall clock's where the study was done;
    Timezone Offset From UTC says which clock, and shifts none of them. `undecoded` holds the bytes,
    as base64 by keyword, of texts that the declared character sets don't explain.
    """

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    source_application_entity_title: str
    patient: PatientFields
    stated: Stated
    presentation_lut_shape: str
    slice_position: float | None
    window: tuple[float, float] | None
    geometry: Geometry
    undecoded: dict[str, str]

    def text(self, keyword: str) -> str:
        """Return a text of the table by keyword; empty where the header doesn't say."""
        return self.stated.texts.get(keyword, "")


def read_header(content: bytes, limits: ContentLimits) -> DicomHeader:
    """Read and check one DICOM file.

    Raises DicomUnreadable, DicomTruncated, MissingUid, Dicomdir, ImageTooLarge and, for a
    deflated data set that unpacks to too much, FileTooLarge or ContentHostile.
    """
    stream = io.BytesIO(content)
    try:
        read_preamble(stream, force=False)
        # What pydicom does for a path; it offers nothing public for a stream.
        meta = _read_file_meta_info(stream)
        syntax = UID(read_text(meta, "TransferSyntaxUID"))
        if not syntax:
            raise DicomUnreadable(detail="it doesn't say how it is encoded (no transfer syntax)")
        if not syntax.is_valid:
            raise DicomUnreadable(detail="what it says of its encoding (transfer syntax) is no UID")
        if _is_directory(meta):
            raise Dicomdir
        if syntax in DEFLATED_SYNTAXES:
            stream = io.BytesIO(_inflate(content, meta, limits))
            dataset = _read_inflated(stream)
        else:
            stream.seek(0)
            dataset = dcmread(stream, stop_before_pixels=True, defer_size=LONGEST_VALUE)
        geometry = check_structure(dataset, stream, syntax=syntax, limits=limits)
        return _as_header(dataset, meta, str(syntax), geometry)
    except PARSE_ERRORS as error:
        raise DicomUnreadable(detail="its structure is broken") from error


def _is_directory(meta: FileMetaDataset) -> bool:
    return read_text(meta, "MediaStorageSOPClassUID") == MediaStorageDirectoryStorage


def _read_inflated(stream: io.BytesIO) -> Dataset:
    """Read the data set before the pixels; the stream then stands where they begin."""
    dataset = read_dataset(
        stream,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, vr, length: tag in PIXEL_DATA_TAGS,
        defer_size=LONGEST_VALUE,
    )
    dataset.set_original_encoding(
        is_implicit_vr=False, is_little_endian=True, character_encoding=dataset._character_set
    )
    return dataset


def _inflate(content: bytes, meta: FileMetaDataset, limits: ContentLimits) -> bytes:
    """Unpack a deflated data set, never past the limits: it can hide a thousandfold."""
    length = read_integer(meta, "FileMetaInformationGroupLength")
    if length is None or length < 0:
        raise DicomUnreadable(detail="its file meta information has no length")
    packed = memoryview(content)[META_START + 12 + length :]
    by_ratio = max(limits.inflate_ratio * len(packed), limits.ratio_from_bytes)
    try:
        return inflate(packed, limit=min(by_ratio, limits.file_bytes))
    except NotInflated as error:
        if error.fault is Fault.CUT_SHORT:
            raise DicomTruncated(detail="its deflated data ends early") from error
        if error.fault is Fault.BROKEN:
            raise
        if by_ratio < limits.file_bytes:
            detail = f"to more than {limits.inflate_ratio} times its size"
            raise ContentHostile(detail=detail) from error
        raise FileTooLarge(limit=limits.file_size) from error


def _as_header(
    dataset: Dataset, meta: FileMetaDataset, syntax: str, geometry: Geometry
) -> DicomHeader:
    sop_class = _uid(dataset, "SOPClassUID", "SOP Class UID", meta, "MediaStorageSOPClassUID")
    if sop_class == MediaStorageDirectoryStorage:
        raise Dicomdir
    texts = Texts(dataset)
    return DicomHeader(
        sop_instance_uid=_uid(dataset, "SOPInstanceUID", "SOP Instance UID"),
        sop_class_uid=sop_class,
        study_instance_uid=_uid(dataset, "StudyInstanceUID", "Study Instance UID"),
        series_instance_uid=_uid(dataset, "SeriesInstanceUID", "Series Instance UID"),
        transfer_syntax_uid=syntax,
        source_application_entity_title=read_text(meta, "SourceApplicationEntityTitle", limit=16),
        patient=_patient(dataset, texts),
        stated=read_stated(dataset, texts),
        presentation_lut_shape=read_code(dataset, "PresentationLUTShape", limit=16),
        slice_position=_slice_position(dataset),
        window=_window(dataset),
        geometry=geometry,
        undecoded=texts.undecoded,
    )


def _uid(
    dataset: Dataset,
    keyword: str,
    name: str,
    meta: FileMetaDataset | None = None,
    meta_keyword: str = "",
) -> str:
    value = read_text(dataset, keyword)
    if not value and meta is not None:
        value = read_text(meta, meta_keyword)
    if not value:
        raise MissingUid(name=name)
    if len(value) > UID_LENGTH or not UID_PATTERN.fullmatch(value):
        raise DicomUnreadable(detail=f"its {name} is not a valid UID")
    return value


def _patient(dataset: Dataset, texts: Texts) -> PatientFields:
    patient_id = texts.read_key("PatientID")
    issuer = texts.read_key("IssuerOfPatientID") or _universal_issuer(dataset)
    if len(patient_id) > ID_LENGTH or len(issuer) > ID_LENGTH:
        # Cut short, it could be somebody else's.
        raise DicomUnreadable(detail=f"its Patient ID is longer than {ID_LENGTH} characters")
    if any(map(texts.holds_control, ("PatientID", "IssuerOfPatientID"))):
        # Joined without them, it could be somebody else's.
        raise DicomUnreadable(detail="its Patient ID holds control characters, such as a new line")
    sex = read_code(dataset, "PatientSex", limit=16)
    return PatientFields(
        patient_id=patient_id,
        issuer=issuer,
        name=texts.read_name("PatientName"),
        birth_date=read_date(dataset, "PatientBirthDate"),
        sex=sex if sex in ("F", "M", "O") else "",
        age=read_code(dataset, "PatientAge", limit=4),
    )


def _universal_issuer(dataset: Dataset) -> str:
    """Universal Entity ID (0040,0032) of the issuer, for files that name it in no other way."""
    qualifiers = read_value(dataset, "IssuerOfPatientIDQualifiersSequence")
    if isinstance(qualifiers, Sequence) and len(qualifiers):
        return read_text(qualifiers[0], "UniversalEntityID")
    return ""


def _slice_position(dataset: Dataset) -> float | None:
    """Where the slice lies along the normal of its plane, in mm; orders slices truly."""
    position = read_floats(dataset, "ImagePositionPatient")
    cosines = read_floats(dataset, "ImageOrientationPatient")
    if len(position) == 3 and len(cosines) == 6:
        return find_slice_position(position, cosines)
    return first_number(read_value(dataset, "SliceLocation"))


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """The first valid window that the header proposes, for a viewer to start from."""
    stated = {keyword: read_value(dataset, keyword) for keyword in WINDOW}
    return next(iter(read_windows(stated)), None)

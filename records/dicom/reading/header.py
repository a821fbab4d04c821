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
from records.dicom.reading.structure import PIXEL_DATA_TAGS, Geometry, check_structure
from records.dicom.reading.texts import Texts
from records.dicom.reading.values import (
    PARSE_ERRORS,
    read_code,
    read_date,
    read_floats,
    read_integer,
    read_text,
    read_time,
    read_value,
)

UID_PATTERN = re.compile(r"\d+(\.\d+)*")
UTC_OFFSET_PATTERN = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")
UID_LENGTH = 64
ID_LENGTH = 64
MOST_REQUESTS = 100
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
class RequestFields:
    """What an item of Request Attributes Sequence says was ordered."""

    scheduled_procedure_step_id: str
    requested_procedure_id: str


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """The fields that become rows.

    Dates and times are the wall clock's where the study was done; `utc_offset` says which clock,
    as in "+0100", and shifts none of them. `referring_physician` is a value of VR PN.
    `undecoded` holds the bytes, as base64 by keyword, of texts that the declared character sets
    don't explain.
    """

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    source_application_entity_title: str
    patient: PatientFields
    accession_number: str
    study_id: str
    referring_physician: str
    study_description: str
    study_date: dt.date | None
    study_time: dt.time | None
    utc_offset: str
    series_number: int | None
    modality: str
    body_part: str
    series_description: str
    laterality: str
    performed_procedure_step_start_date: dt.date | None
    performed_procedure_step_start_time: dt.time | None
    request_attributes: list[RequestFields]
    instance_number: int | None
    view_position: str
    photometric_interpretation: str
    presentation_lut_shape: str
    slice_position: float | None
    window: tuple[float, float] | None
    geometry: Geometry
    undecoded: dict[str, str]


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
        accession_number=texts.read("AccessionNumber", limit=64),
        study_id=texts.read("StudyID", limit=64),
        referring_physician=texts.read_name("ReferringPhysicianName"),
        study_description=texts.read("StudyDescription", limit=64),
        study_date=read_date(dataset, "StudyDate"),
        study_time=read_time(dataset, "StudyTime"),
        utc_offset=_utc_offset(dataset),
        series_number=read_integer(dataset, "SeriesNumber"),
        modality=read_code(dataset, "Modality", limit=16),
        body_part=_body_part(dataset),
        series_description=texts.read("SeriesDescription", limit=64),
        laterality=read_code(dataset, "Laterality", limit=16),
        performed_procedure_step_start_date=read_date(dataset, "PerformedProcedureStepStartDate"),
        performed_procedure_step_start_time=read_time(dataset, "PerformedProcedureStepStartTime"),
        request_attributes=_requests(texts),
        instance_number=read_integer(dataset, "InstanceNumber"),
        view_position=read_code(dataset, "ViewPosition", limit=16),
        photometric_interpretation=read_text(dataset, "PhotometricInterpretation", limit=16),
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


def _requests(texts: Texts) -> list[RequestFields]:
    """What was ordered: one scan may answer several orders, but no scan answers hundreds."""
    found = (
        RequestFields(
            scheduled_procedure_step_id=item.read("ScheduledProcedureStepID", limit=64),
            requested_procedure_id=item.read("RequestedProcedureID", limit=64),
        )
        for item in texts.items("RequestAttributesSequence")[:MOST_REQUESTS]
    )
    return [one for one in found if one.scheduled_procedure_step_id or one.requested_procedure_id]


def _utc_offset(dataset: Dataset) -> str:
    """Timezone Offset From UTC (0008,0201), or nothing where it is missing or can't be one."""
    offset = read_text(dataset, "TimezoneOffsetFromUTC")
    return offset if UTC_OFFSET_PATTERN.fullmatch(offset) else ""


def _body_part(dataset: Dataset) -> str:
    """Body Part Examined, or where photographs say it: the meaning of their anatomic region.

    DICOM PS3.3 C.8.12.1 and A.41: visible light and eye images carry Anatomic Region Sequence
    (0008,2218) in its place.
    """
    part = read_code(dataset, "BodyPartExamined", limit=64)
    regions = read_value(dataset, "AnatomicRegionSequence")
    if not part and isinstance(regions, Sequence) and len(regions):
        part = read_code(regions[0], "CodeMeaning", limit=64)
    return part


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

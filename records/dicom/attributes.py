"""The one table of DICOM attributes that have a column or that a search knows.

A line says how a header is read, where the value is kept, how C-FIND and QIDO-RS match and return
it, and what becomes of it when its study is destroyed. Header reading, filing, both searches, the
conformance statement and destruction go by this table. De-identification goes by PS3.15's own, and
takes out texts that it doesn't name.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

NAME_COLUMNS = ("name", "ideographic_name", "phonetic_name")
"""How the columns of a person name end, one for each component group."""
FOLDED_COLUMN = "search_name"
"""How the column ends that holds all groups of a name for fuzzy searches."""


class Level(IntEnum):
    """The levels of the information model, from the top."""

    STUDY = 1
    SERIES = 2
    INSTANCE = 3


class Matching(StrEnum):
    """How an attribute is matched; the values are the words of the conformance statement."""

    TEXT = "exact, wildcards * and ?"
    LIST = "any of several, wildcards * and ?"
    NAME = "in any script, without regard to case and accents, wildcards * and ?, fuzzy on demand"
    UID = "one UID or a list"
    DATE = "one day or a range"
    TIME = "one time or a range"
    NUMBER = "exact"
    SEQUENCE = "by what one of its items holds"
    ITEM = "exact, wildcards * and ?, in one item with the others"
    NONE = "returned only"


class Returned(StrEnum):
    """When an attribute is returned; the values are the words of the conformance statement."""

    ALWAYS = "always"
    KNOWN = "where known, or on includefield"
    ASKED = "on includefield"


class Reader(StrEnum):
    """How a header's value gets into the column."""

    BY_VR = "as values of its VR are read"
    AS_WRITTEN = "as text, capitals or not"
    BODY_PART = "by a rule of its own: photographs say it elsewhere"
    CLOCK = "by a rule of its own: what can't be a clock is left out"
    ELSEWHERE = "not by this table: UIDs, the patient, the pixels' geometry, what is counted"


class Destruction(StrEnum):
    """What becomes of a column when its study is destroyed."""

    EMPTIED = "emptied"
    FREED = "replaced, so that the same object may be sent again"
    STAYS = "stays, beside the answers that hang on the row"


MATCHING_BY_VR = {
    "DA": Matching.DATE,
    "TM": Matching.TIME,
    "IS": Matching.NUMBER,
    "US": Matching.NUMBER,
    "UI": Matching.UID,
    "PN": Matching.NAME,
    "SQ": Matching.SEQUENCE,
}
"""How values of a VR are matched where nothing else is said; all others as text."""
LONGEST_CODE = 16
LONGEST_TEXT = 64


def _vr_of(keyword: str) -> str:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword  # noqa: S101 - keywords here are our own
    return str(dictionary_VR(tag))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute of a level.

    `column` is what has it in a row of its level, or "patient.mrn" in the row that it points to; of
    a name it is how its columns begin. `lookup` is where a search looks for it instead, from the
    study's series for what a study lists of them. `longest` is in characters, cut after that.
    `declared` names the field of a sender's statement that fills in where a header is silent.
    `is_count` says that it is counted for rows of its own level alone. What is inside of a sequence
    is matched by itself, "Sequence.Attribute", and read, kept and returned with the sequence.
    """

    keyword: str
    level: Level
    column: str
    lookup: str
    matching: Matching
    returned: Returned = Returned.ALWAYS
    reader: Reader = Reader.BY_VR
    longest: int = 0
    declared: str = ""
    destruction: Destruction = Destruction.EMPTIED
    is_count: bool = False

    @property
    def tag(self) -> str:
        """The tag as eight hexadecimal digits, after that of its sequence."""
        return ".".join(f"{tag_for_keyword(step):08X}" for step in self.keyword.split("."))

    @property
    def own_keyword(self) -> str:
        """The keyword without its sequence's."""
        return self.keyword.rpartition(".")[2]

    @property
    def sequence(self) -> str:
        """The keyword of the sequence that it is in; empty for what stands by itself."""
        return self.keyword.rpartition(".")[0]

    @property
    def vr(self) -> str:
        """The value representation that the standard gives it (PS3.6)."""
        return _vr_of(self.own_keyword)

    @property
    def limit(self) -> int:
        """How many characters of its text are kept."""
        return self.longest or (LONGEST_CODE if self.vr == "CS" else LONGEST_TEXT)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of its level's own rows that holds something of it."""
        if self.sequence or self.is_count or "." in self.column or not self.column:
            return ()
        if self.vr == "PN":
            return tuple(f"{self.column}_{end}" for end in (*NAME_COLUMNS, FOLDED_COLUMN))
        return (self.column,)

    def is_told_at(self, level: Level) -> bool:
        """Tell whether rows of `level` have it: those of its own and, but for counts, below."""
        if self.sequence:
            return False
        return self.level == level or (self.level < level and not self.is_count)


STUDY, SERIES, INSTANCE = Level.STUDY, Level.SERIES, Level.INSTANCE
STAYS, FREED = Destruction.STAYS, Destruction.FREED


def _read(level: Level, keyword: str, column: str, **more: Any) -> Attribute:
    """An attribute that is read from the header into a column, and matched as its VR is."""
    vr = _vr_of(keyword.rpartition(".")[2])
    how = {"matching": MATCHING_BY_VR.get(vr, Matching.TEXT), "lookup": column} | more
    return Attribute(keyword=keyword, level=level, column=column, **how)


def _held(level: Level, keyword: str, column: str, **more: Any) -> Attribute:
    """An attribute that is matched like others, but gets into its column by another way."""
    return _read(level, keyword, column, **{"reader": Reader.ELSEWHERE} | more)


def _of_patient(keyword: str, column: str, lookup: str) -> Attribute:
    """An attribute of the patient's record, which stays after their last study."""
    column, lookup = f"patient.{column}", f"patient__{lookup}"
    return _held(STUDY, keyword, column, lookup=lookup, destruction=STAYS)


def _told(level: Level, keyword: str, column: str = "", **more: Any) -> Attribute:
    """An attribute that is counted or computed: returned, and not matched."""
    return _held(level, keyword, column, matching=Matching.NONE, destruction=STAYS, **more)


ATTRIBUTES: tuple[Attribute, ...] = (
    _read(STUDY, "StudyDate", "study_date", declared="study_date", destruction=STAYS),
    _read(STUDY, "StudyTime", "study_time", destruction=STAYS),
    _read(STUDY, "AccessionNumber", "accession_number", declared="accession_number"),
    _held(
        STUDY,
        "ModalitiesInStudy",
        "modalities",
        matching=Matching.LIST,
        lookup="modality",
        destruction=STAYS,
    ),
    _read(STUDY, "ReferringPhysicianName", "referring_physician", lookup="referring_physician_"),
    _read(
        STUDY,
        "TimezoneOffsetFromUTC",
        "utc_offset",
        matching=Matching.NONE,
        returned=Returned.KNOWN,
        reader=Reader.CLOCK,
        longest=5,
        destruction=STAYS,
    ),
    _read(STUDY, "StudyDescription", "description", declared="study_description"),
    _of_patient("PatientName", "person_name", ""),
    _of_patient("PatientID", "mrn", "mrn"),
    _of_patient("IssuerOfPatientID", "issuer", "issuer"),
    _of_patient("PatientBirthDate", "birth_date", "birth_date"),
    _of_patient("PatientSex", "sex", "sex"),
    _held(STUDY, "StudyInstanceUID", "study_instance_uid", destruction=FREED),
    _read(STUDY, "StudyID", "study_id"),
    _told(STUDY, "InstanceAvailability"),
    _told(STUDY, "NumberOfStudyRelatedSeries", "series_count", is_count=True),
    _told(STUDY, "NumberOfStudyRelatedInstances", "instance_count", is_count=True),
    _read(
        SERIES,
        "Modality",
        "modality",
        matching=Matching.LIST,
        declared="modality",
        destruction=STAYS,
    ),
    _read(SERIES, "SeriesDescription", "description"),
    _held(SERIES, "SeriesInstanceUID", "series_instance_uid", destruction=FREED),
    _read(SERIES, "SeriesNumber", "series_number", destruction=STAYS),
    _read(
        SERIES,
        "BodyPartExamined",
        "body_part_examined",
        returned=Returned.ASKED,
        reader=Reader.BODY_PART,
        longest=64,
        declared="body_part",
    ),
    _read(SERIES, "Laterality", "laterality", returned=Returned.ASKED),
    _read(SERIES, "ProtocolName", "protocol_name", returned=Returned.ASKED),
    _read(SERIES, "StationName", "station_name", returned=Returned.ASKED),
    _read(SERIES, "ManufacturerModelName", "manufacturer_model_name", returned=Returned.ASKED),
    _read(
        SERIES,
        "PerformedProcedureStepStartDate",
        "performed_procedure_step_start_date",
        destruction=STAYS,
    ),
    _read(
        SERIES,
        "PerformedProcedureStepStartTime",
        "performed_procedure_step_start_time",
        destruction=STAYS,
    ),
    _read(SERIES, "RequestAttributesSequence", "request_attributes"),
    _read(
        SERIES,
        "RequestAttributesSequence.ScheduledProcedureStepID",
        "request_attributes",
        matching=Matching.ITEM,
    ),
    _read(
        SERIES,
        "RequestAttributesSequence.RequestedProcedureID",
        "request_attributes",
        matching=Matching.ITEM,
    ),
    _told(SERIES, "InstanceAvailability"),
    _told(SERIES, "NumberOfSeriesRelatedInstances", "instance_count", is_count=True),
    _held(INSTANCE, "SOPClassUID", "sop_class_uid", destruction=STAYS),
    _held(INSTANCE, "SOPInstanceUID", "sop_instance_uid", destruction=FREED),
    _read(INSTANCE, "InstanceNumber", "instance_number", destruction=STAYS),
    _held(INSTANCE, "AvailableTransferSyntaxUID", "transfer_syntax_uid", destruction=STAYS),
    _told(INSTANCE, "InstanceAvailability"),
    _held(INSTANCE, "Rows", "rows", destruction=STAYS),
    _held(INSTANCE, "Columns", "columns", destruction=STAYS),
    _held(INSTANCE, "BitsStored", "bits_stored", returned=Returned.ASKED, destruction=STAYS),
    _held(INSTANCE, "NumberOfFrames", "number_of_frames", destruction=STAYS),
    _read(
        INSTANCE,
        "PhotometricInterpretation",
        "photometric_interpretation",
        returned=Returned.ASKED,
        reader=Reader.AS_WRITTEN,
        destruction=STAYS,
    ),
    _read(
        INSTANCE,
        "ViewPosition",
        "view_position",
        returned=Returned.ASKED,
        declared="view_position",
    ),
)

MATCHED: dict[str, Attribute] = {
    attribute.keyword: attribute for attribute in ATTRIBUTES if attribute.matching != Matching.NONE
}
"""What can be matched, by keyword."""

READ: tuple[Attribute, ...] = tuple(
    attribute
    for attribute in ATTRIBUTES
    if attribute.reader is not Reader.ELSEWHERE and not attribute.sequence
)
"""What is read from a header into columns; sequences with all that is inside of them."""


def inside(sequence: Attribute) -> tuple[Attribute, ...]:
    """The attributes inside of a sequence."""
    return tuple(one for one in ATTRIBUTES if one.sequence == sequence.keyword)

"""The attributes that a search matches and returns: for C-FIND, QIDO-RS and conformance alike."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from pydicom.datadict import tag_for_keyword

from records.models import Instance, Series, Study
from records.query.matching import Matching


class Level(IntEnum):
    """The levels of the information model, from the top."""

    STUDY = 1
    SERIES = 2
    INSTANCE = 3


class Returned(StrEnum):
    """When an attribute is returned; the values are the words of the conformance statement."""

    ALWAYS = "always"
    KNOWN = "where known, or on includefield"
    ASKED = "on includefield"


Values = Callable[[Any], tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a level.

    `path` leads to its column from the level's model (from the series, for what a study lists of
    them; for a name, it is how its columns begin); `values` are what a row of that model has of
    it. `is_count` says that it is counted for rows of its own level alone. What is inside of a
    sequence is matched by itself, "Sequence.Attribute", and returned with the sequence.
    """

    keyword: str
    level: Level
    matching: Matching
    path: str
    values: Values
    returned: Returned = Returned.ALWAYS
    is_count: bool = False

    @property
    def tag(self) -> str:
        """The tag as eight hexadecimal digits, after that of its sequence."""
        return ".".join(f"{tag_for_keyword(step):08X}" for step in self.keyword.split("."))

    @property
    def sequence(self) -> str:
        """The keyword of the sequence that it is in; empty for what stands by itself."""
        return self.keyword.rpartition(".")[0]

    def is_told_at(self, level: Level) -> bool:
        """Tell whether rows of `level` have it: those of its own and, but for counts, below."""
        if self.sequence:
            return False
        return self.level == level or (self.level < level and not self.is_count)


def _column(path: str) -> Values:
    names = path.split("__")

    def read(row: Any) -> tuple[object, ...]:
        for name in names:
            row = getattr(row, name)
        return (row,)

    return read


def _nothing(row: object) -> tuple[object, ...]:
    return ()


def _held(level: Level, keyword: str, path: str, matching: Matching, **more: Any) -> Attribute:
    return Attribute(keyword, level, matching, path, _column(path), **more)


def _told(keyword: str, level: Level, values: Values, **more: Any) -> Attribute:
    return Attribute(keyword, level, Matching.NONE, "", values, **more)


def _item_key(keyword: str, level: Level, path: str) -> Attribute:
    return Attribute(keyword, level, Matching.ITEM, path, _nothing)


def _frames(instance: Instance) -> tuple[object, ...]:
    return (instance.number_of_frames or None,)


def _name(study: Study) -> tuple[object, ...]:
    """Every component group of it."""
    return (str(study.patient.person_name),)


def _physician(study: Study) -> tuple[object, ...]:
    return (str(study.referring_physician),)


def _clock(study: Study) -> tuple[object, ...]:
    return (study.utc_offset,) if study.utc_offset else ()


def _requests(series: Series) -> tuple[object, ...]:
    return tuple(series.request_attributes)


def _modalities(study: Study) -> tuple[object, ...]:
    return tuple(study.modalities)


def _online(row: Study | Series | Instance) -> tuple[object, ...]:
    return ("ONLINE",)


STUDY, SERIES, INSTANCE = Level.STUDY, Level.SERIES, Level.INSTANCE

ATTRIBUTES: tuple[Attribute, ...] = (
    _held(STUDY, "StudyDate", "study_date", Matching.DATE),
    _held(STUDY, "StudyTime", "study_time", Matching.TIME),
    _held(STUDY, "AccessionNumber", "accession_number", Matching.TEXT),
    Attribute("ModalitiesInStudy", STUDY, Matching.LIST, "modality", _modalities),
    Attribute("ReferringPhysicianName", STUDY, Matching.NAME, "referring_physician_", _physician),
    _told("TimezoneOffsetFromUTC", STUDY, _clock, returned=Returned.KNOWN),
    _held(STUDY, "StudyDescription", "description", Matching.TEXT),
    Attribute("PatientName", STUDY, Matching.NAME, "patient__", _name),
    _held(STUDY, "PatientID", "patient__mrn", Matching.TEXT),
    _held(STUDY, "IssuerOfPatientID", "patient__issuer", Matching.TEXT),
    _held(STUDY, "PatientBirthDate", "patient__birth_date", Matching.DATE),
    _held(STUDY, "PatientSex", "patient__sex", Matching.TEXT),
    _held(STUDY, "StudyInstanceUID", "study_instance_uid", Matching.UID),
    _held(STUDY, "StudyID", "study_id", Matching.TEXT),
    _told("InstanceAvailability", STUDY, _online),
    _told("NumberOfStudyRelatedSeries", STUDY, _column("series_count"), is_count=True),
    _told("NumberOfStudyRelatedInstances", STUDY, _column("instance_count"), is_count=True),
    _held(SERIES, "Modality", "modality", Matching.LIST),
    _held(SERIES, "SeriesDescription", "description", Matching.TEXT),
    _held(SERIES, "SeriesInstanceUID", "series_instance_uid", Matching.UID),
    _held(SERIES, "SeriesNumber", "series_number", Matching.NUMBER),
    _held(SERIES, "BodyPartExamined", "body_part_examined", Matching.TEXT, returned=Returned.ASKED),
    _held(SERIES, "Laterality", "laterality", Matching.TEXT, returned=Returned.ASKED),
    _held(
        SERIES,
        "PerformedProcedureStepStartDate",
        "performed_procedure_step_start_date",
        Matching.DATE,
    ),
    _held(
        SERIES,
        "PerformedProcedureStepStartTime",
        "performed_procedure_step_start_time",
        Matching.TIME,
    ),
    Attribute(
        "RequestAttributesSequence", SERIES, Matching.SEQUENCE, "request_attributes", _requests
    ),
    _item_key("RequestAttributesSequence.ScheduledProcedureStepID", SERIES, "request_attributes"),
    _item_key("RequestAttributesSequence.RequestedProcedureID", SERIES, "request_attributes"),
    _told("InstanceAvailability", SERIES, _online),
    _told("NumberOfSeriesRelatedInstances", SERIES, _column("instance_count"), is_count=True),
    _held(INSTANCE, "SOPClassUID", "sop_class_uid", Matching.UID),
    _held(INSTANCE, "SOPInstanceUID", "sop_instance_uid", Matching.UID),
    _held(INSTANCE, "InstanceNumber", "instance_number", Matching.NUMBER),
    _held(INSTANCE, "AvailableTransferSyntaxUID", "transfer_syntax_uid", Matching.UID),
    _told("InstanceAvailability", INSTANCE, _online),
    _held(INSTANCE, "Rows", "rows", Matching.NUMBER),
    _held(INSTANCE, "Columns", "columns", Matching.NUMBER),
    _held(INSTANCE, "BitsStored", "bits_stored", Matching.NUMBER, returned=Returned.ASKED),
    Attribute("NumberOfFrames", INSTANCE, Matching.NUMBER, "number_of_frames", _frames),
    _held(
        INSTANCE,
        "PhotometricInterpretation",
        "photometric_interpretation",
        Matching.TEXT,
        returned=Returned.ASKED,
    ),
    _held(INSTANCE, "ViewPosition", "view_position", Matching.TEXT, returned=Returned.ASKED),
)

MODELS: dict[Level, type[Study] | type[Series] | type[Instance]] = {
    STUDY: Study,
    SERIES: Series,
    INSTANCE: Instance,
}

PARENT_PATHS: dict[tuple[Level, Level], str] = {
    (SERIES, STUDY): "study",
    (INSTANCE, SERIES): "series",
    (INSTANCE, STUDY): "series__study",
}
"""How rows of a level lead to those above them."""

MATCHED: dict[str, Attribute] = {
    attribute.keyword: attribute for attribute in ATTRIBUTES if attribute.matching != Matching.NONE
}
"""What can be matched, by keyword."""

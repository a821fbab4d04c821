"""What a DICOM file says about where an image comes from: patient, device, age and sex."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from ml.ages import Age
from ml.errors import DataInvalid
from ml.images.dicom import DECODING_ERRORS, is_dicom
from ml.workshop.datasets.groups import normalise_group

KEYWORDS = (
    "PatientID",
    "IssuerOfPatientID",
    "StudyInstanceUID",
    "Manufacturer",
    "StationName",
    "PatientAge",
    "PatientSex",
)
SEXES = {"M": "male", "F": "female", "O": "other"}
UNNAMED_SOURCE = "dicom"
# Enough to hold the signature of every kind of file.
START = 256


@dataclass(frozen=True, slots=True)
class Provenance:
    """Group, source and facts of an image, as its header gives them."""

    group: str
    source: str
    facts: dict[str, str]


def read_start(path: Path) -> bytes:
    """The first bytes of a file, enough to tell its kind; raises DataInvalid."""
    try:
        with path.open("rb") as stream:
            return stream.read(START)
    except OSError as error:
        raise DataInvalid(path=path, detail=error.strerror or "it can't be opened") from error


def read_provenance(path: Path) -> Provenance | None:
    """What the header says, or None for a file of another kind; raises DataInvalid.

    The group stands for the patient, or for the study of a patient without an id, as a hash:
    groups are written into reports, and ids of patients must not be.
    """
    if not is_dicom(read_start(path)):
        return None
    try:
        header = dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(KEYWORDS))
        fields = {keyword: _text(header, keyword) for keyword in KEYWORDS}
    except DECODING_ERRORS as error:
        raise DataInvalid(path=path, detail=f"its DICOM header is broken ({error})") from error
    identity = fields["StudyInstanceUID"]
    if fields["PatientID"]:
        identity = f"{fields['IssuerOfPatientID']}|{normalise_group(fields['PatientID'])}"
    if not identity:
        raise DataInvalid(path=path, detail="it names neither a patient nor a study")
    facts = {"age": _years(fields["PatientAge"]), "sex": SEXES.get(fields["PatientSex"], "")}
    return Provenance(
        group=f"dicom:{hashlib.sha256(identity.encode()).hexdigest()[:16]}",
        source=fields["Manufacturer"] or fields["StationName"] or UNNAMED_SOURCE,
        facts={name: value for name, value in facts.items() if value},
    )


def _text(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip()


def _years(age: str) -> str:
    """DICOM's Age String in years, or nothing."""
    found = Age.from_dicom(age)
    return f"{found.in_years:.1f}" if found else ""

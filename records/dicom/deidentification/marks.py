"""What a de-identified image says of itself (PS3.3 C.12.1.1.7, PS3.15 E.1.1 and E.3)."""

from pydicom import Dataset

from records.dicom.deidentification.profile import EDITION, Options

CHARACTER_SET = "ISO_IR 192"
BASIC = ("113100", "Basic Application Confidentiality Profile")
CLEAN_PIXELS = ("113101", "Clean Pixel Data Option")
MODIFIED_DATES = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
PATIENT = ("113108", "Retain Patient Characteristics Option")
DEVICE = ("113109", "Retain Device Identity Option")


def put_marks(image: Dataset, options: Options) -> None:
    """Say that the identity was removed, how, and what has become of dates and pixels."""
    codes = [BASIC, CLEAN_PIXELS]
    codes += [MODIFIED_DATES] * options.retain_dates
    codes += [PATIENT] * options.retain_patient
    codes += [DEVICE] * options.retain_device
    image.SpecificCharacterSet = CHARACTER_SET
    image.PatientIdentityRemoved = "YES"
    image.DeidentificationMethod = [f"DICOM PS3.15 {EDITION} Table E.1-1"]
    image.DeidentificationMethodCodeSequence = [_code(*code) for code in codes]
    image.LongitudinalTemporalInformationModified = (
        "MODIFIED" if options.retain_dates else "REMOVED"
    )
    image.BurnedInAnnotation = "NO"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = meaning
    return item

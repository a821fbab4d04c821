"""Which words may stay: codes, defined terms and a few patterns; all other text goes.

PS3.15 keeps every attribute that its table doesn't name, free text included. Here text that is
not from a vocabulary is taken to be somebody's name until it is shown not to be.
"""

import re
from functools import cache
from pathlib import Path

from pydicom import Dataset

TERMS = Path(__file__).with_name("terms.txt")
SHORTEST_TERM = 3
"""A code string below this length is kept whatever it is: `L`, `FS`, `M2` name nobody."""

ORIENTATION = re.compile(r"[AFHLPR]{1,4}")
# Technical text that follows a pattern too narrow for anything else.
PATTERNS = {
    "RescaleType": re.compile(r"HU|US|OD|HU_MOD|PCT|MGML|Z_EFF|ED|EDW|PPM|MMHG"),
    "ImagedNucleus": re.compile(r"\d{0,3}[A-Z][a-z]?"),
    "ResonantNucleus": re.compile(r"\d{0,3}[A-Z][a-z]?"),
    "StackID": re.compile(r"\d{1,3}"),
    "ContrastBolusRoute": re.compile(r"IV|ORAL|RECTAL"),
    "EthnicGroup": re.compile(r"(?i:AFRICAN|ASIAN|BLACK|CAUCASIAN|HISPANIC|LATINO|MIXED|WHITE)"),
}
# Not in Table E.1-1, and kept with the device (E.3.8), which they describe.
DEVICE_TEXTS = frozenset(
    {
        "Manufacturer",
        "ManufacturerModelName",
        "SoftwareVersions",
        "ConvolutionKernel",
        "SequenceName",
        "PulseSequenceName",
        "ReceiveCoilName",
        "TransmitCoilName",
        "FilterType",
        "SecondaryCaptureDeviceManufacturer",
        "SecondaryCaptureDeviceManufacturerModelName",
        "SecondaryCaptureDeviceSoftwareVersions",
        "DetectorManufacturerName",
        "DetectorManufacturerModelName",
    }
)
# Retired names of coding schemes that archives still hold (PS3.16 8.1).
SNOMED_RT = frozenset({"SRT", "SNM3", "99SDM"})


def is_term(keyword: str, text: str) -> bool:
    """Tell whether one value of a code string (CS) says nothing but what DICOM defines."""
    if keyword == "PatientOrientation":
        return ORIENTATION.fullmatch(text) is not None
    return len(text) < SHORTEST_TERM or text in terms()


def is_technical(keyword: str, text: str) -> bool:
    """Tell whether a text of an attribute outside the table is harmless by its form."""
    pattern = PATTERNS.get(keyword)
    return pattern is not None and pattern.fullmatch(text) is not None


def find_code(item: Dataset) -> tuple[str, str, str] | None:
    """Value, scheme and published meaning of a coded item, or None for a code nobody published."""
    value, scheme = (
        str(item.get(name) or "").strip() for name in ("CodeValue", "CodingSchemeDesignator")
    )
    meaning = _meanings(scheme).get(value)
    return (value, scheme, meaning) if meaning else None


@cache
def terms() -> frozenset[str]:
    """The defined terms of image IODs (PS3.3), one a line."""
    return frozenset(line for line in TERMS.read_text().splitlines() if line)


@cache
def _meanings(scheme: str) -> dict[str, str]:
    # Loaded where a copy is made: these tables take a hundred megabytes of a process.
    from pydicom.sr import _snomed_dict
    from pydicom.sr.codedict import codes

    if scheme in SNOMED_RT:
        current = _meanings("SCT")
        mapped = _snomed_dict.mapping["SRT"].items()
        return {old: current[new] for old, new in mapped if new in current}
    if scheme not in codes.schemes():
        return {}
    concepts = getattr(codes, scheme).concepts.values()
    return {str(code.value): str(code.meaning)[:64] for code in concepts}

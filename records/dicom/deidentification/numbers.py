"""Which numbers written as text may stay: as long ones as an image needs, no identifiers.

A patient's ID or a date of birth that somebody has typed into a number is longer than what
devices measure and count. Real images hold five digits before the point, but for the few
quantities below.
"""

import re

from records.dicom.reading.values import parse_number

DIGITS = 5
MOST_DIGITS = 9
# Tiny units, long times and counts of events. The number of frames is proven by the pixels.
LONG_NUMBERS = frozenset(
    {
        "ActualFrameDuration",
        "CountsAccumulated",
        "DetectorTimeSinceLastExposure",
        "DoseCalibrationFactor",
        "ExposureInuAs",
        "ExposuresOnDetectorSinceManufactured",
        "ExposureTimeInuS",
        "FrameReferenceTime",
        "GeneratorPower",
        "NumberOfFrames",
        "PrimaryPromptsCountsAccumulated",
        "RadionuclideHalfLife",
        "RadionuclideTotalDose",
        "RadiopharmaceuticalSpecificActivity",
        "RescaleIntercept",
        "SecondaryCountsAccumulated",
        "TriggerTime",
        "WindowCenter",
        "WindowWidth",
        "XRayTubeCurrentInuA",
    }
)
INTEGER = re.compile(r"[+-]?\d{1,11}", re.ASCII)
DECIMAL = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
PATTERNS = {"DS": DECIMAL, "IS": INTEGER}
PADDING = re.compile(r"^([+-]?)0+(?=\d)", re.ASCII)


def is_plausible(keyword: str, vr: str, text: str) -> bool:
    """Tell whether a DS or IS is a number, and no longer than the attribute needs."""
    if PATTERNS[vr].fullmatch(text) is None:
        return False
    most = MOST_DIGITS if keyword in LONG_NUMBERS else DIGITS
    digits = re.split(r"[.eE]", unpadded(text).lstrip("+-"))[0]
    return len(digits) <= most and abs(float(text)) < 10**most


def as_standard(vr: str, text: str) -> str:
    """The number that a device wrote in its country's way, as PS3.5 6.2 has it; else the text."""
    number = parse_number(text) if "," in text else None
    if number is None:
        return text
    return f"{int(number)}" if vr == "IS" and number.is_integer() else text.replace(",", ".")


def unpadded(text: str) -> str:
    """The number without zeros before it: they count as digits, where somebody searches."""
    return PADDING.sub(r"\1", text)

"""De-identification after DICOM PS3.15 Annex E: what leaves the hospital names nobody."""

from records.dicom.deidentification.burned_in import Suspicion, find_suspicion
from records.dicom.deidentification.engine import deidentify
from records.dicom.deidentification.pixels import Rectangle, blacken, open_image
from records.dicom.deidentification.profile import Options
from records.dicom.deidentification.pseudonyms import Pseudonyms

__all__ = [
    "Options",
    "Pseudonyms",
    "Rectangle",
    "Suspicion",
    "blacken",
    "deidentify",
    "find_suspicion",
    "open_image",
]

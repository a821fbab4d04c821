"""De-identification after DICOM PS3.15 Annex E: what leaves the hospital names nobody."""

from records.deidentification.burned_in import Suspicion, find_suspicion
from records.deidentification.engine import deidentify
from records.deidentification.pixels import Rectangle, blacken, open_image
from records.deidentification.profile import Options
from records.deidentification.pseudonyms import Pseudonyms, project_key

__all__ = [
    "Options",
    "Pseudonyms",
    "Rectangle",
    "Suspicion",
    "blacken",
    "deidentify",
    "find_suspicion",
    "open_image",
    "project_key",
]

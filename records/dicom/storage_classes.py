"""Which classes of objects are taken in (PS3.4 Annex B)."""

from pydicom.uid import UID, UID_dictionary

DICOM_ROOT = "1.2.840.10008."
STORAGE_CLASSES = f"{DICOM_ROOT}5.1.4.1.1."
"""What the standard's storage classes begin with, those that are younger than our table too."""

WITHOUT_PATIENT = frozenset(
    DICOM_ROOT + rest
    for rest in (
        "5.1.4.1.1.200.1",  # CT Defined Procedure Protocol
        "5.1.4.1.1.200.3",  # Protocol Approval
        "5.1.4.1.1.200.7",  # XA Defined Procedure Protocol
        "5.1.4.1.1.201.1",  # Inventory
        "5.1.4.38.1",  # Hanging Protocol
        "5.1.4.39.1",  # Color Palette
        "5.1.4.43.1",  # Generic Implant Template
        "5.1.4.44.1",  # Implant Assembly Template
        "5.1.4.45.1",  # Implant Template Group
    )
)
"""Objects of no study (PS3.4 Annex GG): there is no place for them here."""

OTHER_SERVICES = frozenset(
    (
        f"{DICOM_ROOT}1.3.10",  # Media Storage Directory
        f"{DICOM_ROOT}1.20.1",  # Storage Commitment, push
        f"{DICOM_ROOT}1.20.2",  # Storage Commitment, pull
    )
)


def is_stored_class(uid: str) -> bool:
    """Whether objects of a class are taken in: those about patients, private and unknown ones.

    A class that the standard has and that isn't one of storage is a service.
    """
    if not uid.startswith(DICOM_ROOT):
        return bool(uid)
    if uid in WITHOUT_PATIENT or uid in OTHER_SERVICES:
        return False
    if uid not in UID_dictionary:
        return uid.startswith(STORAGE_CLASSES)
    return UID(uid).type == "SOP Class" and "Storage" in UID(uid).name

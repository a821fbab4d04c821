"""Why an object was not stored, in DICOM's codes (PS3.4 B.2.3, PS3.7 C.5, PS3.18 Annex I).

The status of a C-STORE and the Failure Reason (0008,1197) of a STOW-RS answer.
"""

PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
CLASS_NOT_SUPPORTED = 0x0122
NOT_AUTHORISED = 0x0124
UNRECOGNISED_OPERATION = 0x0211
OUT_OF_RESOURCES = 0xA700
MATCHES_NOT_COUNTED = 0xA701
DATA_SET_MISMATCH = 0xA900
STUDY_MISMATCH = 0xA901
CANNOT_UNDERSTAND = 0xC000

FAILURE_REASONS: dict[str, int] = {
    # Not a duplicate, which a sender may take for a reason to delete its own.
    "held_file_lost": PROCESSING_FAILURE,
    "uid_conflict": DUPLICATE_INSTANCE,
    "held_by_other_department": NOT_AUTHORISED,
    "not_filed_here": NOT_AUTHORISED,
    "department_unclear": NOT_AUTHORISED,
    "study_deleted": NOT_AUTHORISED,
    "database_unavailable": OUT_OF_RESOURCES,
    "intake_failed": OUT_OF_RESOURCES,
    "readers_unavailable": OUT_OF_RESOURCES,
    "disk_full": OUT_OF_RESOURCES,
    "storage_low": OUT_OF_RESOURCES,
    "storage_foreign": OUT_OF_RESOURCES,
    "storage_unavailable": OUT_OF_RESOURCES,
    "storage_mismatch": OUT_OF_RESOURCES,
    "decoding_exhausted": OUT_OF_RESOURCES,
    "too_many_files": OUT_OF_RESOURCES,
    "file_too_large": OUT_OF_RESOURCES,
    "image_too_large": OUT_OF_RESOURCES,
    "other_study": STUDY_MISMATCH,
    "study_patient_mismatch": DATA_SET_MISMATCH,
    "series_study_mismatch": DATA_SET_MISMATCH,
    "patient_conflict": DATA_SET_MISMATCH,
    "patient_required": DATA_SET_MISMATCH,
    "dicomdir": DATA_SET_MISMATCH,
    "disc_file": CANNOT_UNDERSTAND,
    "missing_uid": DATA_SET_MISMATCH,
    "bulk_data_missing": DATA_SET_MISMATCH,
    "content_hostile": CANNOT_UNDERSTAND,
    "decoding_crashed": CANNOT_UNDERSTAND,
    "dicom_truncated": CANNOT_UNDERSTAND,
    "dicom_unreadable": CANNOT_UNDERSTAND,
    "empty_file": CANNOT_UNDERSTAND,
    "image_unreadable": CANNOT_UNDERSTAND,
    "several_pictures": CANNOT_UNDERSTAND,
    "unknown_format": CANNOT_UNDERSTAND,
}
"""By the code of a verdict; any other code is a processing failure."""

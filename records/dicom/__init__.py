"""DICOM: from bytes to data sets and back. No Django, no rows, no settings."""

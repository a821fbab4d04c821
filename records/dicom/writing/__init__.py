"""Objects written as others ask for them: files, DICOM JSON, frames, and pictures as DICOM.

Runs in the children of the sandbox (`records.dicom.sandbox`).
"""

"""Questions by DICOM's attributes: what can be asked, how it is matched, which rows answer."""

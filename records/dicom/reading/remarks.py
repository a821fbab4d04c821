"""What is worth knowing about the pixels of a file that was taken: sentences for its verdict."""

from ml.images import Picture, ProfileUse
from records.dicom.reading.header import DicomHeader

CONTRADICTING_SHAPES = {"MONOCHROME1": "IDENTITY", "MONOCHROME2": "INVERSE"}
"""Presentation LUT Shape by the Photometric Interpretation that it denies (PS3.3 C.11.6.1.2)."""

PROFILE_IN_OBJECT = {
    ProfileUse.APPLIED: "Its colours are shown in sRGB, by the colour profile that it holds.",
    ProfileUse.IGNORED: "Its colour profile can't be used, so its colours are shown as stored.",
}
PROFILE_OF_PICTURE = {
    ProfileUse.APPLIED: "Its colours were converted from its own colour profile to sRGB.",
    ProfileUse.IGNORED: "Its colour profile couldn't be applied and was left out.",
}


def remarks_on_object(header: DicomHeader, profile_use: ProfileUse) -> list[str]:
    """Sentences about a DICOM object whose frames were decoded."""
    found = []
    photometric = header.text("PhotometricInterpretation")
    shape = header.presentation_lut_shape
    if header.geometry.frames and shape and CONTRADICTING_SHAPES.get(photometric) == shape:
        found.append(
            f"Its Presentation LUT Shape ({shape}) contradicts its Photometric Interpretation "
            f"({photometric}); it is shown by the latter, and elsewhere perhaps inverted."
        )
    if profile_use in PROFILE_IN_OBJECT:
        found.append(PROFILE_IN_OBJECT[profile_use])
    return found


def remarks_on_picture(picture: Picture) -> list[str]:
    """Sentences about a picture: what of it isn't in the DICOM object that was made of it."""
    found = []
    if picture.profile_use in PROFILE_OF_PICTURE:
        found.append(PROFILE_OF_PICTURE[picture.profile_use])
    if picture.transparent:
        share = max(round(100 * picture.transparent), 1)
        found.append(
            f"About {share} % of it is transparent; the colours hidden there are shown and used."
        )
    if picture.further:
        pictures = "picture" if picture.further == 1 else "pictures"
        found.append(f"It holds {picture.further} further {pictures}; the first alone was used.")
    return found

"""Pictures become DICOM: Secondary Capture, or VL Photographic Image for photographs."""

import datetime as dt
import io
from dataclasses import dataclass, replace

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    VLPhotographicImageStorage,
    generate_uid,
)

from ml.errors import ImageHasSeveralPictures, MLError
from ml.errors import ImageTooLarge as DecoderImageTooLarge
from ml.images import Picture, read_picture
from records.dicom.errors import ImageUnreadable, SeveralPictures
from records.dicom.reading.declared import DeclaredFields
from records.dicom.reading.proof import too_large
from records.dicom.reading.remarks import remarks_on_picture

PHOTOGRAPH = "XC"
OTHER_MODALITY = "OT"
MANUFACTURER = "Medical image classification"
CHARACTER_SET = "ISO_IR 192"
DEEPEST_GREY = 65535
UNPAIRED = frozenset({"CHEST", "HEAD", "BRAIN", "ABDOMEN"})
"""Body parts of which there is one: for any other, Laterality has to be there, known or not."""


@dataclass(frozen=True, slots=True)
class PhotographUids:
    """The identifiers of one picture.

    The instance's depends on the content, the patient and the department alone, so that
    the same picture sent again is recognised; the study's and the series' on the batch.
    """

    study: UID
    series: UID
    instance: UID


def assign_uids(
    *, declared: DeclaredFields, department_id: object, batch_id: object, sha256: str
) -> PhotographUids:
    """Derive the identifiers of a picture; the same input gives the same ones."""
    whose = [declared.patient_id, declared.issuer, str(department_id)]
    return PhotographUids(
        study=generate_uid(entropy_srcs=["study", str(batch_id), *whose]),
        series=generate_uid(entropy_srcs=["series", str(batch_id), *whose]),
        instance=generate_uid(entropy_srcs=["instance", sha256, *whose]),
    )


@dataclass(frozen=True, slots=True)
class MadeOfPicture:
    """A DICOM file made of a picture, and sentences on what of the picture isn't in it."""

    content: bytes
    remarks: list[str]


def as_dicom(
    content: bytes, *, declared: DeclaredFields, uids: PhotographUids, number: int
) -> MadeOfPicture:
    """Return the DICOM file for a picture; grey stays grey, 16 bits stay 16 bits.

    Colours are those of sRGB, but for those of 16 bits, which keep their profile; values that
    16 bits don't hold are spread over them. Raises ImageTooLarge, ImageUnreadable and
    SeveralPictures.
    """
    picture, remarks = _fit_depth(_decode(content))
    image = _new_file(_sop_class_for(declared, picture), uids)
    _describe_patient(image, declared)
    _describe_study(image, declared, uids)
    _describe_series(image, declared, uids)
    _describe_image(image, number)
    if picture.loss:
        _describe_compression(image, picture, packed=len(content))
    _put_pixels(image, picture)
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return MadeOfPicture(buffer.getvalue(), [*remarks_on_picture(picture), *remarks])


def _decode(content: bytes) -> Picture:
    try:
        return read_picture(content)
    except DecoderImageTooLarge as error:
        raise too_large(error) from error
    except ImageHasSeveralPictures as error:
        raise SeveralPictures(**error.context) from error
    except MLError as error:
        raise ImageUnreadable(detail="its data is damaged or incomplete") from error


def _fit_depth(picture: Picture) -> tuple[Picture, list[str]]:
    """Whole numbers of 16 bits stay as they are; others are spread over them, and that is said."""
    values = picture.pixels
    if values.dtype.kind != "f":
        return picture, []
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    is_whole = finite.size == values.size and np.array_equal(finite, np.rint(finite))
    if is_whole and low >= 0 and high <= DEEPEST_GREY:
        return picture, []
    # No value, or infinity, becomes an end of the range.
    held = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    spread = (held - low) * (DEEPEST_GREY / (high - low) if high > low else 0.0)
    told = f"Its values from {low:g} to {high:g} were spread over 16 bits."
    return replace(picture, pixels=np.rint(spread).astype(np.uint16)), [told]


def _sop_class_for(declared: DeclaredFields, picture: Picture) -> UID:
    """A photograph has a class of its own, which takes 8 bits only."""
    if declared.modality == PHOTOGRAPH and picture.pixels.dtype == np.uint8:
        return VLPhotographicImageStorage
    return SecondaryCaptureImageStorage


def _new_file(sop_class: UID, uids: PhotographUids) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = uids.instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SpecificCharacterSet = CHARACTER_SET
    image.SOPClassUID = sop_class
    image.SOPInstanceUID = uids.instance
    if sop_class == VLPhotographicImageStorage:
        image.AcquisitionContextSequence = []
    else:
        image.ConversionType = "WSD"
    return image


def _describe_patient(image: Dataset, declared: DeclaredFields) -> None:
    image.PatientName = declared.patient_name
    image.PatientID = declared.patient_id
    if declared.issuer:
        image.IssuerOfPatientID = declared.issuer
    image.PatientBirthDate = f"{declared.birth_date:%Y%m%d}" if declared.birth_date else ""
    image.PatientSex = declared.sex


def _describe_study(image: Dataset, declared: DeclaredFields, uids: PhotographUids) -> None:
    image.StudyInstanceUID = uids.study
    image.StudyDate = f"{declared.study_date:%Y%m%d}" if declared.study_date else ""
    image.StudyTime = ""
    image.StudyID = ""
    image.AccessionNumber = declared.accession_number
    image.ReferringPhysicianName = ""
    if declared.study_description:
        image.StudyDescription = declared.study_description


def _describe_series(image: Dataset, declared: DeclaredFields, uids: PhotographUids) -> None:
    image.SeriesInstanceUID = uids.series
    image.SeriesNumber = 1
    image.Modality = declared.modality or OTHER_MODALITY
    image.Manufacturer = MANUFACTURER
    if declared.body_part:
        image.BodyPartExamined = declared.body_part
    if declared.body_part not in UNPAIRED:
        image.Laterality = ""  # type 2C (PS3.3 C.7.3.1)
    if declared.view_position:
        image.ViewPosition = declared.view_position


def _describe_image(image: Dataset, number: int) -> None:
    now = dt.datetime.now(tz=dt.UTC)
    image.InstanceNumber = number
    image.PatientOrientation = None
    image.ImageType = ["DERIVED", "SECONDARY"]
    image.ContentDate = f"{now:%Y%m%d}"
    image.ContentTime = f"{now:%H%M%S}"
    image.LossyImageCompression = "00"


def _describe_compression(image: Dataset, picture: Picture, *, packed: int) -> None:
    """What was lost stays known for ever (PS3.3 C.7.6.1.1.5)."""
    image.LossyImageCompression = "01"
    image.LossyImageCompressionMethod = picture.loss
    image.LossyImageCompressionRatio = f"{max(picture.pixels.nbytes / packed, 1):.2f}"


def _put_pixels(image: Dataset, picture: Picture) -> None:
    pixels, is_colour = picture.pixels, picture.pixels.ndim == 3
    if pixels.dtype != np.uint8:
        pixels = np.clip(np.rint(pixels), 0, DEEPEST_GREY).astype("<u2")
    bits = pixels.dtype.itemsize * 8
    image.Rows, image.Columns = pixels.shape[:2]
    image.BitsAllocated = bits
    image.BitsStored = picture.bits if is_colour else bits
    image.HighBit = image.BitsStored - 1
    image.PixelRepresentation = 0
    image.SamplesPerPixel = 3 if is_colour else 1
    image.PhotometricInterpretation = "RGB" if is_colour else "MONOCHROME2"
    if is_colour:
        image.PlanarConfiguration = 0
    else:
        _put_window(image, pixels)
    if picture.profile:
        image.ICCProfile = picture.profile
    content = pixels.tobytes()
    image.add_new("PixelData", "OW" if bits > 8 else "OB", content + b"\0" * (len(content) % 2))


def _put_window(image: Dataset, pixels: np.ndarray) -> None:
    """Say that the levels are to be shown as they are: a modality alone would suggest others.

    PS3.3 C.11.2.1.2: this window maps its first level to black and its last to white.
    """
    low, high = (0, 255) if pixels.dtype == np.uint8 else (int(pixels.min()), int(pixels.max()))
    image.WindowCenter = str((low + high + 1) / 2)
    image.WindowWidth = str(high - low + 1)

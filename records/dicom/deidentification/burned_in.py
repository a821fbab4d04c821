"""Whether a person has to look for names in the picture itself before it may leave."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import (
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    VLEndoscopicImageStorage,
    VLPhotographicImageStorage,
)

from records.dicom.deidentification.pixels import Rectangle, Samples, read_samples
from records.dicom.deidentification.text_lines import find_text_lines

FRAMES_LOOKED_AT = 5
OFTEN_LABELLED = frozenset(
    {
        MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        MultiFrameSingleBitSecondaryCaptureImageStorage,
        MultiFrameTrueColorSecondaryCaptureImageStorage,
        SecondaryCaptureImageStorage,
        UltrasoundImageStorage,
        UltrasoundMultiFrameImageStorage,
        VLEndoscopicImageStorage,
        VLPhotographicImageStorage,
    }
)
"""Screens, films and photographs: unless the sender states that nothing is written on them."""


class Cause(StrEnum):
    """Why a person has to look."""

    DECLARED = "declared"
    TEXT = "text"
    KIND = "kind"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why a person has to look, and where something like writing was found."""

    cause: Cause
    regions: tuple[Rectangle, ...] = ()


def find_suspicion(image: Dataset) -> Suspicion | None:
    """Tell whether there may be writing in an image that `open_image` has read.

    The sender's own word that there is none, Burned In Annotation (0028,0301) NO, counts less
    than what is found, and more than what is usual for such images.
    """
    stated = str(image.get("BurnedInAnnotation") or "").strip().upper()
    regions = find_writing(image)
    if stated == "YES":
        return Suspicion(Cause.DECLARED, regions)
    if regions:
        return Suspicion(Cause.TEXT, regions)
    is_labelled = image.SOPClassUID in OFTEN_LABELLED or image.get("Modality") in ("US", "OT")
    return Suspicion(Cause.KIND) if is_labelled and stated != "NO" else None


def find_writing(image: Dataset) -> tuple[Rectangle, ...]:
    """Where something like a line of text stands, in some frame or in all of them together."""
    samples = _in_order(image, read_samples(image))
    count = len(samples)
    looked_at = np.unique(np.linspace(0, count - 1, min(count, FRAMES_LOOKED_AT)).astype(int))
    pictures = [samples[index] for index in looked_at]
    if count > 1:
        pictures += [samples.min(axis=0), samples.max(axis=0)]
    found = {
        box
        for picture in pictures
        for levels in _levels(picture)
        for box in find_text_lines(levels)
    }
    return tuple(Rectangle(*box) for box in sorted(found))


def _in_order(image: Dataset, samples: Samples) -> Samples:
    """Stored values that grow as numbers do."""
    is_signed = samples.dtype.kind == "u" and int(image.PixelRepresentation) == 1
    return samples.view(samples.dtype.str.replace("u", "i")) if is_signed else samples


def _levels(picture: Samples) -> list[NDArray[np.uint8]]:
    """The picture in 256 levels; a coloured one by its brightest and its darkest channel."""
    channels = [picture.max(axis=-1), picture.min(axis=-1)]
    distinct = channels if picture.shape[-1] > 1 else channels[:1]
    return [_stretched(channel) for channel in distinct]


def _stretched(channel: Samples) -> NDArray[np.uint8]:
    values = np.nan_to_num(channel.astype(np.float64), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255 / (high - low) if high > low else 0)
    return scaled.astype(np.uint8)

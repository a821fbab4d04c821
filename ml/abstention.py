"""When not to answer: the image is outside what the task was made for, and why, in words."""

import dataclasses
import re
from dataclasses import dataclass

import numpy as np

from ml.images import Frame, to_display
from ml.levels import count_percentiles
from ml.manifest import Manifest
from ml.task_config import ScopeConfig

DAYS_PER_YEAR = 365.25
AGE_UNITS = {"D": 1 / DAYS_PER_YEAR, "W": 7 / DAYS_PER_YEAR, "M": 1 / 12, "Y": 1.0}
# Of 3,900 images of all tasks none spans fewer than 30 grey levels (first to last hundredth), and
# in none neighbours correlate less than 0.12, those of 64 pixels included.
RANGE_PERCENTILES = (1, 99)
MIN_RANGE = 12
MIN_NEIGHBOUR_CORRELATION = 0.05
# Pixels on a side that are looked at: every so many of a larger image.
LOOKED_AT = 256
TEXT_FIELDS = ("ViewPosition", "SeriesDescription", "StudyDescription", "BodyPartExamined")


@dataclass(frozen=True, slots=True)
class Abstention:
    """A stable code, and the sentence that staff read in place of a label."""

    code: str
    reason: str


def check_scope(frame: Frame, manifest: Manifest) -> Abstention | None:
    """Judge a frame by its header and pixels, before the network; None when it is in scope."""
    return _check_pixels(frame, manifest) or _check_header(frame, manifest.scope)


def check_distance(distance: float, manifest: Manifest, *, hint: str = "") -> Abstention | None:
    """Judge by the distance from the training images; None when it is near enough.

    `hint` is a sentence on what is likely wrong with the image, if anything says so.
    """
    if distance <= manifest.distance.limit:
        return None
    reason = f"This image is unlike those the {manifest.title} model was trained on."
    return Abstention("unlike_training", f"{reason} {hint}".rstrip())


def _check_pixels(frame: Frame, manifest: Manifest) -> Abstention | None:
    scope = manifest.scope
    if frame.is_constant:
        return Abstention("constant_image", "This image is blank: every pixel is the same.")
    short, long = sorted((frame.rows, frame.columns))
    if short < scope.min_side:
        reason = f"This image is {short} pixels across; at least {scope.min_side} are needed."
        return Abstention("image_too_small", reason)
    if long > scope.max_aspect_ratio * short:
        return Abstention("image_too_narrow", "This image is too long and narrow for a full view.")
    if frame.is_colour and manifest.input.colour == "grey" and not scope.any_colour:
        return Abstention("colour_image", "This is a colour image; the model reads grey ones.")
    if not frame.is_colour and manifest.input.colour == "rgb" and not scope.any_colour:
        return Abstention("grey_image", "This is a grey image; the model reads colour ones.")
    return _check_content(frame)


def _check_content(frame: Frame) -> Abstention | None:
    """Whether anything is shown at all: neither a flat field nor noise is an image."""
    step = max(1, min(frame.rows, frame.columns) // LOOKED_AT)
    shown = to_display(dataclasses.replace(frame, pixels=frame.pixels[::step, ::step]))
    # The grey of a colour image is the sum of its channels.
    planes = [shown] if shown.ndim == 2 else [shown[..., channel] for channel in range(3)]
    levels = np.add.reduce(planes, dtype=np.uint16)
    low, high = count_percentiles(levels, RANGE_PERCENTILES)
    if high - low < MIN_RANGE * len(planes):
        return Abstention("constant_image", "This image is nearly blank.")
    centred = levels - levels.mean(dtype=np.float32)
    products = (centred[:, 1:] * centred[:, :-1]).mean() + (centred[1:] * centred[:-1]).mean()
    if products / 2 < MIN_NEIGHBOUR_CORRELATION * np.square(centred).mean():
        return Abstention("unlike_training", "This image is nothing but noise.")
    return None


def _check_header(frame: Frame, scope: ScopeConfig) -> Abstention | None:
    header = {name: value.strip().upper() for name, value in frame.header.items()}
    modality = header.get("Modality", "")
    if modality and scope.modalities and modality not in scope.modalities:
        return Abstention("wrong_modality", f"The model isn't made for modality {modality}.")
    part = header.get("BodyPartExamined", "")
    if part and scope.body_parts and not any(name in part for name in scope.body_parts):
        return Abstention("wrong_body_part", f"The model isn't made for this body part ({part}).")
    return _check_view(header, scope) or _check_age(header, scope)


def _check_view(header: dict[str, str], scope: ScopeConfig) -> Abstention | None:
    view = header.get("ViewPosition", "")
    # PS3.3 C.7.6.1.1.1: where the first row points. A or P means that it was taken from the side.
    is_sideways = header.get("PatientOrientation", "")[:1] in ("A", "P")
    if scope.excluded_views and (view in scope.excluded_views or is_sideways):
        return Abstention("wrong_view", "This is a lateral or oblique view; a frontal is needed.")
    text = " ".join(header.get(name, "") for name in TEXT_FIELDS)
    for word in scope.excluded_words:
        if re.search(rf"\b{re.escape(word.upper())}\b", text):
            return Abstention("wrong_view", f"The image's description says “{word}”.")
    return None


def _check_age(header: dict[str, str], scope: ScopeConfig) -> Abstention | None:
    """Age as DICOM writes it: three digits and D, W, M or Y."""
    match = re.fullmatch(r"(\d{3})([DWMY])", header.get("PatientAge", ""))
    if match is None:
        return None
    years = int(match[1]) * AGE_UNITS[match[2]]
    if scope.min_age_years <= years <= scope.max_age_years:
        return None
    return Abstention("age_out_of_range", "The model wasn't made for patients of this age.")

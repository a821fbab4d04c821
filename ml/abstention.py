"""When not to answer: the image is outside what the task was made for, and why, in words."""

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ml.images import Frame
from ml.inputs import InputConfig, ScopeConfig
from ml.levels import count_percentiles
from ml.manifest import Manifest
from ml.preprocessing import lacks_hounsfield, show_frame
from ml.subjects import Subject, read_subject

# An upper limit from which on nobody is left out.
EVERYBODY_YEARS = 120
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
    """A stable code, and the sentence that staff read in place of a label.

    `hint`, on what is likely wrong with the image, ends the reason, if anything says so.
    """

    code: str
    reason: str
    hint: str = ""

    def without_hint(self) -> "Abstention":
        """The same, saying only that the image isn't answered."""
        return Abstention(self.code, self.reason.removesuffix(self.hint).rstrip())


def check_scope(
    frame: Frame, manifest: Manifest, subject: Subject | None = None
) -> Abstention | None:
    """Judge a frame by its pixels and its subject, before the network; None when it is in scope.

    Without a `subject` the frame's own header speaks. What isn't known is no reason to abstain:
    `describe_unknowns` tells it.
    """
    subject = subject or read_subject(frame.header)
    return _check_pixels(frame, manifest) or _check_subject(frame, subject, manifest.scope)


def describe_unknowns(subject: Subject, scope: ScopeConfig) -> list[str]:
    """A sentence for each limit of the model that can't be applied to the subject."""
    sentences = []
    limits_age = scope.min_age_years > 0 or scope.max_age_years < EVERYBODY_YEARS
    if limits_age and subject.age is None:
        limit = _describe_ages(scope)
        sentences.append(f"The patient's age is unknown; the model is for {limit}.")
    if scope.sexes and not _code(subject.sex):
        accepted = " or ".join(scope.sexes)
        sentences.append(f"The patient's sex is unknown; the model is for {accepted}.")
    return sentences


def check_distance(distance: float, manifest: Manifest, *, hint: str = "") -> Abstention | None:
    """Judge by the distance from the training images; None when it is near enough.

    `hint` is a sentence on what is likely wrong with the image, if anything says so.
    """
    if distance <= manifest.distance.limit:
        return None
    reason = f"This image is unlike those the {manifest.title} model was trained on."
    return Abstention("unlike_training", f"{reason} {hint}".rstrip(), hint=hint)


def check_source(manifest: Manifest, *, is_validated: bool) -> Abstention | None:
    """Whether the model's operating points count where an image comes from.

    `is_validated` is what somebody answers for who measured it there; None where that, or a
    second source at export, speaks for the points.
    """
    if is_validated or manifest.transfer is None or not manifest.transfer.is_own_source_only:
        return None
    reason = (
        f"The {manifest.title} model is not validated for this source of images. Its operating "
        "points are known to hold only where they were chosen."
    )
    return Abstention("source_not_validated", reason)


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
    if lacks_hounsfield(frame, manifest.input):
        reason = "This CT isn't in Hounsfield units, by which alone the model reads one."
        return Abstention("no_hounsfield_units", f"{reason} Send the original images.")
    if frame.is_colour and manifest.input.reads_grey and not scope.any_colour:
        return Abstention("colour_image", "This is a colour image; the model reads grey ones.")
    if not frame.is_colour and not manifest.input.reads_grey and not scope.any_colour:
        return Abstention("grey_image", "This is a grey image; the model reads colour ones.")
    return _check_content(frame, manifest.input)


def _check_content(frame: Frame, spec: InputConfig) -> Abstention | None:
    """Whether anything is shown at all: neither a flat field nor noise is an image."""
    step = max(1, min(frame.rows, frame.columns) // LOOKED_AT)
    shown = show_frame(dataclasses.replace(frame, pixels=frame.pixels[::step, ::step]), spec)
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


def _check_subject(frame: Frame, subject: Subject, scope: ScopeConfig) -> Abstention | None:
    modality = _code(subject.modality)
    if modality and scope.modalities and modality not in _codes(scope.modalities):
        return Abstention("wrong_modality", f"The model isn't made for modality {modality}.")
    # What an image says of itself counts beside what is known of its series.
    for part in (_code(subject.body_part), _code(frame.header.get("BodyPartExamined", ""))):
        if part and scope.body_parts and not any(one in part for one in _codes(scope.body_parts)):
            reason = f"The model isn't made for this body part ({part})."
            return Abstention("wrong_body_part", reason)
    return _check_view(frame, subject, scope) or _check_patient(subject, scope)


def _check_view(frame: Frame, subject: Subject, scope: ScopeConfig) -> Abstention | None:
    # PS3.3 C.7.6.1.1.1: where the first row points. A or P means that it was taken from the side.
    is_sideways = _code(frame.header.get("PatientOrientation", ""))[:1] in ("A", "P")
    views = {_code(subject.view), _code(frame.header.get("ViewPosition", ""))}
    is_excluded = bool(views & _codes(scope.excluded_views))
    if scope.excluded_views and (is_excluded or is_sideways):
        return Abstention("wrong_view", "This is a lateral or oblique view; a frontal is needed.")
    said = (subject.view, subject.body_part, *subject.descriptions)
    written = (frame.header.get(name, "") for name in TEXT_FIELDS)
    text = " ".join((*said, *written)).upper()
    for word in scope.excluded_words:
        if re.search(rf"\b{re.escape(word.upper())}\b", text):
            return Abstention("wrong_view", f"The image's description says “{word}”.")
    return None


def _check_patient(subject: Subject, scope: ScopeConfig) -> Abstention | None:
    """Whether the patient's known age and sex are those that the model was made for."""
    age = subject.age
    if age and not scope.min_age_years <= age.in_years <= scope.max_age_years:
        reason = f"The patient's age is {age}; the model is for {_describe_ages(scope)}."
        return Abstention("age_out_of_range", reason)
    sex = _code(subject.sex)
    if sex and scope.sexes and sex not in _codes(scope.sexes):
        return Abstention("wrong_sex", f"The model isn't made for patients of sex {sex}.")
    return None


def _describe_ages(scope: ScopeConfig) -> str:
    return f"{scope.min_age_years:g} to {scope.max_age_years:g} years"


def _code(text: str) -> str:
    return text.strip().upper()


def _codes(texts: Iterable[str]) -> set[str]:
    return {_code(text) for text in texts}

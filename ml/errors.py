"""Every failure this library can explain: a stable code, a sentence for staff, and what to do."""

from collections.abc import Sequence
from typing import ClassVar, Self

MOST_TOLD = 10


class MLError(Exception):
    """Base of the known errors; the attributes may hold `{fields}` filled from the context."""

    code: ClassVar[str] = "ml_error"
    message: str = "The image could not be processed."
    action: str = "Try again, or ask the administrator to look at the log."

    def __init__(self, **context: object) -> None:
        self.context = context
        message = type(self).message.format(**context)
        # A detail of several lines ends in a break: its sentence's full stop would stand alone.
        self.message = message[:-1] if message.endswith("\n.") else message
        self.action = type(self).action.format(**context)
        super().__init__(self.message)


def _list_in_lines(head: str, told: Sequence[object]) -> str:
    """A detail of several lines."""
    return f"{head}:" + "".join(f"\n  {one}" for one in told) + "\n"


class ImageUnreadable(MLError):
    """The bytes are not an image of a supported kind."""

    code = "image_unreadable"
    message = "This file can't be read as an image: {detail}."
    action = "Send a DICOM, PNG, JPEG, WebP or TIFF image."


class ImageHasNoPixels(MLError):
    """A DICOM object without pixel data, such as a report or a DICOMDIR."""

    code = "image_has_no_pixels"
    message = "This DICOM file holds no image ({detail})."
    action = "Nothing to do if it is a report; otherwise send the image objects of the study."


class ImageHasSeveralPictures(MLError):
    """An animation, or a TIFF of several pages where one picture is expected."""

    code = "several_pictures"
    message = "This file holds {count} pictures ({kind}), where one is expected."
    action = "Send each picture as a file of its own, or the series as DICOM."


class ImageTooLarge(MLError):
    """The header announces more pixels than are accepted; nothing was decoded."""

    code = "image_too_large"
    message = "This image announces {pixels} pixels; at most {limit} are accepted."
    action = "Send a smaller image, or ask the administrator to check the file."


class ImageTruncated(MLError):
    """The pixel data ends before the header says it does."""

    code = "image_truncated"
    message = "This file is cut short: its pixel data is incomplete ({detail})."
    action = "Send the file again from its source."


class UnsupportedTransferSyntax(MLError):
    """The compression is unknown or has no decoder here."""

    code = "unsupported_transfer_syntax"
    message = "This image is stored in transfer syntax {uid}, which can't be decoded here."
    action = "Send it uncompressed, or as JPEG, JPEG-LS, JPEG 2000 or RLE."


class FrameOutOfRange(MLError):
    """A frame was asked for that the image does not have."""

    code = "frame_out_of_range"
    message = "Frame {frame} was asked for, but the image has {count}."
    action = "Ask for a frame between 0 and the last one."


class TaskConfigInvalid(MLError):
    """A task file misses an entry, has an unknown one, or holds a value out of range."""

    code = "task_config_invalid"
    message = "The task file {path} is not valid: {detail}."
    action = "Correct what is named; ml/tasks/chest-xray.toml shows every entry."

    @classmethod
    def of_problems(cls, path: object, problems: Sequence[object]) -> Self:
        """The error for everything that is wrong with a task file, a line for each if several."""
        if len(problems) == 1:
            return cls(path=path, detail=problems[0])
        return cls(path=path, detail=_list_in_lines(f"{len(problems)} entries are wrong", problems))


class TaskFileOfOther(MLError):
    """A bundle is to be worked on with a task file, or overrides, that it wasn't made with."""

    code = "task_file_of_other"
    message = "The bundle {path} was not made with these choices: {detail}."
    action = "Give --task-file and --set as at the export of {task} {version}; the bundle is whole."


class TaskDraftImpossible(MLError):
    """No task file can be drafted of what lies there, or of what was asked for."""

    code = "task_draft_impossible"
    message = "No task file can be written: {detail}."
    action = "Correct what is named; `python -m ml new-task --help` has examples."


class DataInvalid(MLError):
    """The data set's table is missing, malformed, or leaks a group across splits."""

    code = "data_invalid"
    message = "The data set {path} can't be used: {detail}."
    action = "Check the path given by --data and the table's columns."

    @classmethod
    def of_lines(cls, path: object, told: Sequence[str]) -> Self:
        """The error for several things that are wrong: the first ten, and how many more."""
        if len(told) == 1:
            return cls(path=path, detail=told[0])
        shown = [*told[:MOST_TOLD]]
        if len(told) > MOST_TOLD:
            shown.append(f"and {len(told) - MOST_TOLD} more")
        return cls(path=path, detail=_list_in_lines(f"{len(told)} lines are wrong", shown))


class BundleInvalid(MLError):
    """The bundle's manifest is missing or doesn't say what it must."""

    code = "bundle_invalid"
    message = "The model bundle {path} is not valid: {detail}."
    action = "Restore the bundle from where it was exported."


class BundleTampered(MLError):
    """A file of the bundle is not the one that was exported."""

    code = "bundle_tampered"
    message = "The model bundle {path} was changed after export: {detail}."
    action = "Do not use it. Restore the bundle and find out who changed it."


class SigningKeyInvalid(MLError):
    """A key that should sign bundles, or be trusted to, can't be read or is of another kind."""

    code = "signing_key_invalid"
    message = "The key {path} can't be used: {detail}."
    action = "Name a PEM file with an Ed25519 key; `python -m ml keygen` makes a pair."


class RuntimeUnavailable(MLError):
    """The engine asked for is not installed or has no device."""

    code = "runtime_unavailable"
    message = "The engine {runtime} can't be used here: {detail}."
    action = "Choose another device, or install the engine's requirements."


class CanaryMismatch(MLError):
    """The engine gives other scores on the canary input than were recorded at export."""

    code = "canary_mismatch"
    message = "The model {path} gives other scores here than at export (difference {difference})."
    action = "Do not use this machine for it until the engine's version has been checked."


class ParityFailed(MLError):
    """The two engines disagree on the exported network."""

    code = "parity_failed"
    message = "The two engines disagree: largest difference {difference}, {changed} labels changed."
    action = "Keep the training run, and export it again with another precision."


class SplitOpened(MLError):
    """The test split was scored with this version before; nobody said why it should be again."""

    code = "test_split_opened"
    message = "The test split was opened for {task} {version} already ({count} times)."
    action = "Give the task file a new version, or say why with --purpose: it goes on record."


class SearchSpaceInvalid(MLError):
    """A search space names an entry that can't be searched, or gives it no valid values."""

    code = "search_space_invalid"
    message = "The search space can't be used: {detail}."
    action = "Correct the named entry; ml/tasks/search/chest-xray.toml shows the forms."


class RunMismatch(MLError):
    """A folder or study that was to be continued was begun with other choices or other data."""

    code = "run_mismatch"
    message = "{path} was begun with other choices: {detail}."
    action = "Name another folder or study, or repeat the choices it was begun with."


class StudyWithoutResult(MLError):
    """Every trial of a study was pruned, failed or interrupted, so none is the best."""

    code = "study_without_result"
    message = "No trial of the study {study} came to its end."
    action = "Run more trials, or look at the reasons in its trials.csv."


class SoupInvalid(MLError):
    """The networks to be averaged are not of one architecture, or too few."""

    code = "soup_invalid"
    message = "These runs can't be averaged: {detail}."
    action = "Give two or more finished runs of one task file that differ in their seed only."


class GroupCrossesSplits(MLError):
    """A patient, lesion or other group has images in two splits."""

    code = "group_crosses_splits"
    message = "{count} groups have images in more than one split, such as {first}."
    action = "Put all images of a group into one split: audit.json names them."


class CopyCrossesSplits(MLError):
    """The same file, or the same pixels in another file, is in two splits."""

    code = "copy_crosses_splits"
    message = "{count} pairs of copies lie in different splits, such as {first}."
    action = "Remove one of each pair or give both one group: near_duplicates.csv lists them."


class NearDuplicateCrossesSplits(MLError):
    """Two images that are the same but for size, contrast or compression are in two splits."""

    code = "near_duplicate_crosses_splits"
    message = "{count} pairs of near-duplicates lie in different splits, such as {first}."
    action = "Look at them in audit.html, give each pair one group, and draw the splits anew."


class ImagesUnreadable(MLError):
    """Images that the table names are missing or can't be decoded."""

    code = "images_unreadable"
    message = "{count} images can't be read, such as {first}."
    action = "Restore them, or take their rows out of the table: audit.json gives each reason."


class ComparisonRefused(MLError):
    """Two sets of predictions that can't be set side by side, image by image."""

    code = "comparison_refused"
    message = "These two can't be compared: {detail}."
    action = "Compare bundles of one task, scored on the same images of one data set."


class CheckpointInvalid(MLError):
    """The checkpoint of a run is broken, missing, or that of another network."""

    code = "checkpoint_invalid"
    message = "The run {path} can't go on: {detail}."
    action = "Give another folder with --run, or remove this one and train anew."


class BackboneNotExportable(MLError):
    """The network has a hidden layer behind its maps: its activation map would not be exact."""

    code = "backbone_not_exportable"
    message = "A network with the backbone {backbone} can't be made a bundle."
    action = "Train a backbone whose maps are averaged; the reference networks are for comparison."


class TrainingDiverged(MLError):
    """What a training is judged by is no longer a number."""

    code = "training_diverged"
    message = "The training diverged in epoch {epoch}: its loss is no longer a number."
    action = "Lower training.learning_rate, or train in float32; the last checkpoint is kept."


class ExplanationUnavailable(MLError):
    """The way to explain an answer that was asked for doesn't fit this network."""

    code = "explanation_unavailable"
    message = "The answer can't be explained by {method}: {detail}."
    action = "Choose another method, or a label that the model has."

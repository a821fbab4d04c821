"""Why content isn't read, written or de-identified: code, sentence, what to do."""

from accounts.errors import KnownError


class FileRejected(KnownError):
    """The base of every reason for which one file is refused; the rest of its batch goes on.

    `is_harmless` marks what a batch is whole without. Of that, `is_left_out` marks what never was
    an image, such as a desktop's own files: it is not called rejected, but left out.
    """

    code = "file_rejected"
    status = 422
    is_harmless = False
    is_left_out = False


class EmptyFile(FileRejected):
    """Zero bytes."""

    code = "empty_file"
    message = "The file is empty."
    action = "Export it again from where it came from and send the new copy."


class UnknownFormat(FileRejected):
    """Of no accepted kind by content, whatever the name says."""

    code = "unknown_format"
    message = "This is not a DICOM, PNG, JPEG, WebP, TIFF or ZIP file, whatever its name says."
    action = "Send the image itself, in one of these formats."


class FileTooLarge(FileRejected):
    """More bytes than the hospital accepts in one file, also when unpacked."""

    code = "file_too_large"
    message = "The file is larger than {limit}, the most that is accepted."
    action = "Send the images of the study one by one, or have your administrator raise the limit."


class ImageTooLarge(FileRejected):
    """More pixels are announced than are accepted; nothing was decoded."""

    code = "image_too_large"
    message = "The image is too large: {size}, where at most {limit} are accepted."
    action = "Send a smaller copy; if the image isn't that large, its header is damaged."


class ImageUnreadable(FileRejected):
    """A picture that can't be decoded, so nothing could be made of it."""

    code = "image_unreadable"
    message = "The image can't be decoded: {detail}."
    action = "Open it where it came from, save it again and send the new copy."


class SeveralPictures(FileRejected):
    """An animation, or a TIFF of several pages: which of them to take nobody said."""

    code = "several_pictures"
    message = "The file holds {count} pictures ({kind}), where one is expected."
    action = "Save each picture as a file of its own, or send the series as DICOM."


class DicomTruncated(FileRejected):
    """The file ends before its own header, or the length of an element, says it does."""

    code = "dicom_truncated"
    message = "The DICOM file is cut short: {detail}."
    action = "Send the file again from its source; the copy was interrupted."


class DicomUnreadable(FileRejected):
    """DICOM by its first bytes, but not by its structure."""

    code = "dicom_unreadable"
    message = "The DICOM file can't be read: {detail}."
    action = "Export it again as a DICOM file (PS3.10) and send the new copy."


class ContentHostile(FileRejected):
    """A compressed data set that would unpack to far more than images do."""

    code = "content_hostile"
    message = "The file was not unpacked further: it unpacks {detail}."
    action = "Export it again without compression from where it came from."


class DecodingExhausted(FileRejected):
    """Reading the file took more time or memory than any image needs; it was stopped."""

    code = "decoding_exhausted"
    message = "Reading the file was stopped: it took more than {limit}."
    action = (
        "Check the file where it came from: it may be damaged, or made to do harm. "
        "If it is sound, have your administrator raise the limit."
    )


class DecodingCrashed(FileRejected):
    """The process that read the file died of it; the server goes on with a new one."""

    code = "decoding_crashed"
    message = "The program that reads images broke down over this file."
    action = "Check the file where it came from, and send it again uncompressed."


class MissingUid(FileRejected):
    """Without its three identifiers an object can't be filed."""

    code = "missing_uid"
    message = "The DICOM file has no {name}."
    action = "Export it again from the modality or archive, which assigns it."


class Dicomdir(FileRejected):
    """The table of contents of a disc."""

    code = "dicomdir"
    message = "This is a DICOMDIR, the table of contents of a disc, not an image."
    action = "Send the image files of the disc; the DICOMDIR itself isn't needed."
    is_harmless = is_left_out = True


class InvalidField(KnownError):
    """A declared value that DICOM has no room for."""

    code = "invalid_field"
    message = "{label}: {problem}"
    action = "Correct the field and send again."


class IntakeFailed(KnownError):
    """The base of what is our own fault while files come in.

    No verdict is written, and whoever sent them is told 503: nothing of the file in hand is stored,
    what was stored before it stays, and all of it can be sent again. `is_of_one_file` marks what
    needn't concern the files after it: they are filed before the sender is told.
    """

    status = 503
    retry_after = 60
    is_of_one_file = False


class ReadersUnavailable(IntakeFailed):
    """The processes that read content can't be started, or were killed by somebody else."""

    code = "readers_unavailable"
    message = "Files can't be read at present."
    action = "Send the file again in a minute. If it stays so, tell your administrator."


class ReaderKilled(ReadersUnavailable):
    """The process that was reading this file was ended by somebody else."""

    is_of_one_file = True


class ExportRefused(KnownError):
    """The base of every reason for which one object can't leave; the others of its study may."""

    code = "export_refused"
    status = 422


class ExportNotAnImage(ExportRefused):
    """Reports, documents, drawings and results: text that no machine can clean."""

    code = "export_not_an_image"
    message = "Only images can be de-identified; this object is a report, a drawing or a result."
    action = "Nothing to do: it is left out of the export."


class ExportUnreadable(ExportRefused):
    """What can't be read whole can't be shown to be clean."""

    code = "export_unreadable"
    message = "The image can't be read whole, so nobody can say what is in it."
    action = "Export it again from the modality or archive, and send the new copy."


class RegionOutside(KnownError):
    """A rectangle to blacken that isn't part of the image."""

    code = "region_outside"
    pointer = "/decisions"
    message = "A region to blacken lies outside the image of {columns} × {rows} pixels."
    action = "Correct the region: x, y, width and height in pixels from the upper left corner."

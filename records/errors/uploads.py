"""What can go wrong in a resumable upload."""

from accounts.errors import KnownError


class UploadGone(KnownError):
    """An upload that was cancelled, replaced, expired, or overtaken by the end of its batch."""

    code = "upload_gone"
    message = "This upload can't go on: it was cancelled, replaced, or left for too long."
    action = "Send the file again from its beginning."
    status = 410


class TooManyUnfinished(KnownError):
    """Somebody begins more and more, and ends nothing."""

    code = "too_many_unfinished"
    message = "You have {limit} unfinished {what}, the most that one person may have at a time."
    action = "Finish, close or cancel some of them, or wait until they expire."
    status = 429
    retry_after = 60


class UploadShareUsed(KnownError):
    """One person's unfinished files would take the room that others need."""

    code = "upload_share_used"
    message = "Your unfinished uploads need as much room as one person may reserve."
    action = "Finish or cancel some of them, then begin the next file."
    status = 429
    retry_after = 60


class UploadBusy(KnownError):
    """Two requests for one file at once: one of them would undo the other."""

    code = "upload_busy"
    message = "A file is being written by another request at this moment."
    action = "Wait a few seconds and try again."
    status = 423
    retry_after = 2


class OffsetMismatch(KnownError):
    """The bytes sent don't follow on those that are held."""

    code = "offset_mismatch"
    message = "{held} bytes of this file are held, but the next ones were sent as from {stated}."
    action = "Ask for the offset with HEAD, and go on from there."
    status = 409


class UploadOverrun(KnownError):
    """More bytes than the file was said to have; none of them was read."""

    code = "upload_overrun"
    message = "More bytes were sent than are missing of this file ({missing})."
    action = "Check the file: it may have changed since its upload began. Then start a new one."
    status = 413


class ChecksumMismatch(KnownError):
    """The bytes are not those that the sender counted; none of them was kept."""

    code = "checksum_mismatch"
    message = "The bytes arrived altered: their checksum is not the one that came with them."
    action = "Send them again from the same offset."
    status = 460


class TusHeaderInvalid(KnownError):
    """A header that the protocol asks for is missing or makes no sense."""

    code = "tus_header_invalid"
    message = "The header {name} is missing, or can't be read."
    action = "See tus 1.0.0, the protocol of resumable uploads."
    pointer = "/{name}"


class TusMetadataInvalid(KnownError):
    """A word about the file that nobody here knows, or one that stands twice."""

    code = "tus_metadata_invalid"
    message = "The header Upload-Metadata says something that isn't known here, or says it twice."
    action = "Send each of {known} once at most."
    pointer = "/Upload-Metadata"


class TusVersionUnsupported(KnownError):
    """Another version of the protocol, or none was named."""

    code = "tus_version_unsupported"
    message = "This server speaks version 1.0.0 of tus, and the request doesn't."
    action = "Send the header Tus-Resumable: 1.0.0."
    status = 412


class TusContentTypeInvalid(KnownError):
    """Bytes of a file are sent as such, and as nothing else."""

    code = "tus_content_type_invalid"
    message = "The bytes of an upload come as application/offset+octet-stream."
    action = "Correct the header Content-Type."
    status = 415

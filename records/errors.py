"""What can be wrong with a file or a submission: code, sentence, what to do."""

from accounts.errors import KnownError


class FileRejected(KnownError):
    """The base of every reason for which one file is refused; the rest of its batch goes on.

    `is_harmless` marks what a batch is whole without, such as a desktop's own files.
    """

    code = "file_rejected"
    status = 422
    is_harmless = False


class EmptyFile(FileRejected):
    """Zero bytes."""

    code = "empty_file"
    message = "The file is empty."
    action = "Export it again from where it came from and send the new copy."


class UnknownFormat(FileRejected):
    """Neither DICOM, PNG, JPEG nor ZIP by content, whatever the name says."""

    code = "unknown_format"
    message = "This is not a DICOM, PNG, JPEG or ZIP file, whatever its name says."
    action = "Send the image itself, in one of these formats."


class FileTooLarge(FileRejected):
    """More bytes than the hospital accepts in one file, also when unpacked."""

    code = "file_too_large"
    message = "The file is larger than {limit}, the most that is accepted."
    action = "Send the images of the study one by one, or have your administrator raise the limit."


class ImageTooLarge(FileRejected):
    """The header announces more pixels than are accepted; nothing was decoded."""

    code = "image_too_large"
    message = "The image is too large: its header announces {size}."
    action = "Check the file where it came from: its header may be damaged."


class ImageUnreadable(FileRejected):
    """A PNG or JPEG that can't be decoded, so nothing could be made of it."""

    code = "image_unreadable"
    message = "The image can't be decoded: {detail}."
    action = "Open it where it came from, save it again and send the new copy."


class DicomTruncated(FileRejected):
    """The file ends before its own header says it does."""

    code = "dicom_truncated"
    message = "The DICOM file is cut short: {detail}."
    action = "Send the file again from its source; the copy was interrupted."


class DicomUnreadable(FileRejected):
    """DICOM by its first bytes, but not by its structure."""

    code = "dicom_unreadable"
    message = "The DICOM file can't be read: {detail}."
    action = "Export it again as a DICOM file (PS3.10) and send the new copy."


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


class SystemFile(FileRejected):
    """What a desktop leaves in folders and archives."""

    code = "system_file"
    message = "This file was put there by the computer that packed the archive; it holds no image."
    action = "Nothing to do."
    is_harmless = True


class ZipEncrypted(FileRejected):
    """An entry that needs a password."""

    code = "zip_encrypted"
    message = "The archive is protected by a password."
    action = "Pack the images again without a password."


class ZipBomb(FileRejected):
    """An archive that would unpack to far more than it should."""

    code = "zip_bomb"
    message = "The archive was not unpacked further: {detail}."
    action = "Send the images in several smaller archives, or without an archive."


class ZipUnsafePath(FileRejected):
    """An entry whose name points out of the archive."""

    code = "zip_unsafe_path"
    message = "The entry's name points outside the archive."
    action = "Pack the images again with a trusted program, by plain names."


class ZipCorrupt(FileRejected):
    """A damaged archive, or a damaged entry of one."""

    code = "zip_corrupt"
    message = "The archive is damaged: {detail}."
    action = "Pack the images again and send the new archive."


class UidConflict(FileRejected):
    """Other bytes under an identifier that is already held; the original stays as it is."""

    code = "uid_conflict"
    message = "Another image with the same SOP Instance UID is already held; it was not changed."
    action = "Have the sending system give the changed image a new UID, and send it again."


class StudyPatientMismatch(FileRejected):
    """The study is already held under another patient ID."""

    code = "study_patient_mismatch"
    message = "The study of this image is already held under another patient ID."
    action = "Check which patient was examined, correct the ID at the source and send it again."


class SeriesStudyMismatch(FileRejected):
    """The series is already held under another study."""

    code = "series_study_mismatch"
    message = "The series of this image is already held as part of another study."
    action = "Export the study again from its source, which keeps the UIDs together."


class PatientConflict(FileRejected):
    """The patient ID is known, with another name or birth date. Never says which."""

    code = "patient_conflict"
    message = "Patient ID {patient_id} is already held with another {differing}."
    action = "Check the patient ID, and correct it or the {differing} before sending again."


class PatientRequired(FileRejected):
    """A PNG or JPEG doesn't say whom it shows."""

    code = "patient_required"
    message = "PNG and JPEG files don't say whose they are, and no patient ID was given."
    action = "Enter the patient ID and send the file again."


class HeldByOtherDepartment(FileRejected):
    """A study belongs to exactly one department."""

    code = "held_by_other_department"
    message = "The study of this image is already held by another department."
    action = "Ask your administrator who holds it; it can't be sent to a second department."


class TooManyFiles(FileRejected):
    """The batch is full."""

    code = "too_many_files"
    message = "The submission already has {limit} files, the most that one may have."
    action = "Close this submission and send the rest in another."


class DiskFull(FileRejected):
    """No room to store the file."""

    code = "disk_full"
    message = "There is no room left to store the file."
    action = "Tell your administrator, and send the file again afterwards."
    status = 507


class StorageLow(FileRejected):
    """The disk is so nearly full that nothing more is taken in; what is held can be used."""

    code = "storage_low"
    message = "Storage is nearly full, so no more images are taken in at present."
    action = "Tell your administrator, and send the file again once there is room."
    status = 503
    retry_after = 300


class UploadUnfinished(FileRejected):
    """The rest of a file never came, and its batch ended or its time was up."""

    code = "upload_unfinished"
    message = "Only {received} of {size} of this file arrived."
    action = "Send the file again."


class UploadCancelled(FileRejected):
    """The sender took a file back before it had arrived."""

    code = "upload_cancelled"
    message = "The sender cancelled this file after {received} of {size}."
    action = "Nothing to do."
    is_harmless = True


class UnexpectedFailure(FileRejected):
    """Something that this list doesn't know; the log has the rest under the reference."""

    code = "unexpected"
    message = "Something went wrong on our side with this file (reference {reference})."
    action = "Send it again. If it happens again, give your administrator the reference."
    status = 500


class DepartmentRequired(KnownError):
    """No department to file the images in."""

    code = "department_required"
    message = "No department was chosen."
    action = "Choose the department that the images belong to."


class DepartmentUnknown(KnownError):
    """Not a department in which this person may submit; whether it exists isn't said."""

    code = "department_unknown"
    message = "There is no such department to which you may send images."
    action = "Choose one of your own departments."


class SubmissionEnded(KnownError):
    """A batch takes no files once it is closed."""

    code = "submission_closed"
    message = "This submission is closed and takes no more files."
    action = "Start a new submission for the remaining files."
    status = 409


class InvalidField(KnownError):
    """A declared value that DICOM has no room for."""

    code = "invalid_field"
    message = "{label}: {problem}"
    action = "Correct the field and send again."


class RequestTooLarge(KnownError):
    """The announced size alone says that the file can't be accepted: no byte of it was read."""

    code = "file_too_large"
    message = "The file is larger than {limit}, the most that is accepted."
    action = "Send the images of the study one by one, or have your administrator raise the limit."
    status = 413


class UploadGone(KnownError):
    """An upload that was cancelled, replaced, expired, or overtaken by the end of its batch."""

    code = "upload_gone"
    message = "This upload can't go on: it was cancelled, replaced, or left for too long."
    action = "Send the file again from its beginning."
    status = 410


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


class NothingToShow(KnownError):
    """An image that can't be drawn: no pixels, or none that can be decoded."""

    code = "nothing_to_show"
    message = "This image can't be shown: {detail}"
    action = "Download the file and open it with the program that made it."
    status = 422


class NoSuchFrame(KnownError):
    """A frame was asked for that the image doesn't have."""

    code = "no_such_frame"
    message = "The image has {count} frame(s), and no frame {frame}."
    action = "Ask for one of its frames, counted from 1."
    status = 404


class WindowInvalid(KnownError):
    """A window that isn't two numbers, or that has no width."""

    code = "window_invalid"
    message = "The window's center and width must both be given as numbers, the width above 0."
    action = "Correct `center` and `width`, or leave both out."


HARMLESS_CODES = frozenset(
    error.code for error in FileRejected.__subclasses__() if error.is_harmless
)
"""Codes of refusals that leave a batch whole."""

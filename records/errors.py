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
    """The request's own length says that no file in it can be accepted."""

    code = "file_too_large"
    message = "The request is larger than {limit}, the most that is accepted."
    action = "Send the images of the study one by one, or have your administrator raise the limit."
    status = 413


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


class ExportNotAllowed(KnownError):
    """A study that the actor may not export; whether it exists isn't said."""

    code = "export_not_allowed"
    message = "There is no such study that you may export."
    action = "Choose studies of a department in which you may export."
    status = 404


class ExportAcrossDepartments(KnownError):
    """One export belongs to one department."""

    code = "export_across_departments"
    message = "The studies belong to several departments."
    action = "Export the studies of each department by themselves, for the same project."


class ExportOfOpenStudy(KnownError):
    """A copy of half a study would pass for the whole."""

    code = "export_of_open_study"
    message = "A study is still arriving."
    action = "Export it once it is complete."
    status = 409


class ExportTooLarge(KnownError):
    """More than a worker prepares in one piece."""

    code = "export_too_large"
    message = "The studies hold {count} images; at most {limit} are prepared at once."
    action = "Export fewer studies at a time, or ask your operator to run `manage.py deidentify`."


class ExportEmpty(KnownError):
    """Nothing of the studies can leave."""

    code = "export_empty"
    message = "None of the objects of these studies can be de-identified."
    action = "Choose studies with images; reports and documents can't be exported."
    status = 422


class ExportTooSlow(KnownError):
    """A worker ran out of time."""

    code = "export_too_slow"
    message = "The images took longer to prepare than a worker has time for."
    action = "Export fewer studies at a time, or ask your operator to run `manage.py deidentify`."


class ExportBroken(KnownError):
    """Something that this list doesn't know; the log has the rest under the reference."""

    code = "export_broken"
    message = "Something went wrong on our side (reference {reference})."
    action = "Ask for the export again. If it happens again, give your administrator the reference."
    status = 500


class ExportNotHeld(KnownError):
    """Decisions are asked for only while an export is held back."""

    code = "export_not_held"
    message = "This export isn't waiting for a decision."
    action = "Look at its page: it may have gone on already."
    status = 409


class ExportHoldUnknown(KnownError):
    """A decision about an image that isn't held back in this export."""

    code = "export_hold_unknown"
    message = "One of the images isn't held back in this export."
    action = "Load the page again and decide about the images that it shows."


class ExportNotReady(KnownError):
    """There is no file yet."""

    code = "export_not_ready"
    message = "The export isn't ready."
    action = "Wait until its page says that it is, or decide about the images held back."
    status = 409


class RegionUnreadable(KnownError):
    """A person asked to blacken something, but not what."""

    code = "region_unreadable"
    message = "The regions to blacken can't be read."
    action = "Write x, y, width and height as whole numbers, one region a line."


class RegionOutside(KnownError):
    """A rectangle to blacken that isn't part of the image."""

    code = "region_outside"
    message = "A region to blacken lies outside the image of {columns} × {rows} pixels."
    action = "Correct the region: x, y, width and height in pixels from the upper left corner."


HARMLESS_CODES = frozenset(
    error.code for error in FileRejected.__subclasses__() if error.is_harmless
)
"""Codes of refusals that leave a batch whole."""

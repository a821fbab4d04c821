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


class ZipMethod(FileRejected):
    """An entry packed in a way whose unpacking can't be kept within limits."""

    code = "zip_method"
    message = "The archive is packed by a method that is not accepted."
    action = "Pack the images again as a plain ZIP archive, which uses deflate."


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
    message = (
        "Another image with the same SOP Instance UID is already held; it was not changed, "
        "and this file is kept in quarantine."
    )
    action = "Have the sending system give the changed image a new UID, and send it again."


class StudyPatientMismatch(FileRejected):
    """The study is already held for another person: another ID, name or birth date."""

    code = "study_patient_mismatch"
    message = (
        "The study of this image is already held for another patient; "
        "the file is kept in quarantine until somebody decides."
    )
    action = "Check which patient was examined, and decide under Conflicts."


class SeriesStudyMismatch(FileRejected):
    """The series is already held under another study."""

    code = "series_study_mismatch"
    message = "The series of this image is already held as part of another study."
    action = "Export the study again from its source, which keeps the UIDs together."


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


class StoreUnavailable(FileRejected):
    """The service that keeps the files doesn't answer, or refuses."""

    code = "storage_unavailable"
    message = "The storage can't be reached at present."
    action = "Send the file again in a minute. If it stays so, tell your administrator."
    status = 503
    retry_after = 60


class ContentMismatch(FileRejected):
    """Other bytes lie under the name that these ones would get; they are left as they are."""

    code = "storage_mismatch"
    message = "The store holds a damaged copy of this very file ({sha256})."
    action = "Give your administrator this message: the copy has to be restored or removed first."
    status = 500


class StudyDeleted(FileRejected):
    """The study was deleted by somebody and can still be restored."""

    code = "study_deleted"
    message = "The study of this image was deleted on {day}; it can be restored until {until}."
    action = "Have a reviewer restore it under Studies, Deleted, and send the image again."
    status = 409


class OtherStudy(FileRejected):
    """Sent to the address of one study, it belongs to another."""

    code = "other_study"
    message = "The object belongs to another study than the address names."
    action = "Send it to the address of its own study, or to the one without a study."


class BulkDataMissing(FileRejected):
    """Metadata that point to bulk data which did not come with them."""

    code = "bulk_data_missing"
    message = "The metadata point to bulk data that can't be used: {detail}."
    action = "Send each bulk data part in the same request, under the Content-Location it is given."


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


class NodeTitleTaken(KnownError):
    """Callers are told apart by their AE title."""

    code = "node_title_taken"
    message = "There is already a DICOM node with the AE title {ae_title}."
    action = "Choose another AE title, and set it in the device too."
    status = 409


class QueryInvalid(KnownError):
    """A DICOM query key holds what can't be matched."""

    code = "query_invalid"
    message = "The query can't be answered: {detail}."
    action = "Correct the query key, or leave it empty."


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


class StoredFileDamaged(KnownError):
    """The stored bytes aren't those that were received; they are never shown or classified."""

    code = "file_damaged"
    message = "The stored file of this image is damaged."
    action = "Tell your administrator, who can restore it from a backup."
    status = 500


class StoredFileMissing(KnownError):
    """The store has no file where the row points."""

    code = "file_missing"
    message = "The stored file of this image is missing."
    action = "Tell your administrator, who can restore it from a backup."
    status = 500


class ReasonMissing(KnownError):
    """What takes something away, or forbids it, says why."""

    code = "reason_missing"
    message = "A reason is needed."
    action = "State it in a few words, without the patient's name; it stays in the audit trail."


class ReasonTooLong(KnownError):
    """Reasons are read in lists."""

    code = "reason_too_long"
    message = "The reason has {length} characters; {maximum} fit."
    action = "Shorten it."


class StudyHeld(KnownError):
    """A legal hold stands against deletion and destruction."""

    code = "study_held"
    message = "This study is under a legal hold and can't be deleted."
    action = "Ask your administrator, who can say why and lift the hold."
    status = 409


class StudyNotDeleted(KnownError):
    """Nothing to restore: never deleted, restored by somebody else, or destroyed."""

    code = "study_not_deleted"
    message = "This study is not among the deleted ones any more."
    action = "Reload the list. A study whose retention has ended can't be brought back."
    status = 409


class NoSuchStudy(KnownError):
    """No study has this UID or accession number."""

    code = "no_such_study"
    message = "No study is held under “{given}”."
    action = "Check the Study Instance UID or the accession number."
    status = 404


class HoldLifted(KnownError):
    """Somebody lifted it already."""

    code = "hold_lifted"
    message = "This legal hold was lifted already."
    action = "Reload the list."
    status = 409


class ConflictResolved(KnownError):
    """Somebody else was quicker."""

    code = "conflict_resolved"
    message = "This conflict is resolved already."
    action = "Look at the decision; reverse it if it is wrong."
    status = 409


class ConflictOpen(KnownError):
    """There is no decision to take back."""

    code = "conflict_open"
    message = "There is no decision on this conflict that could be reversed."
    action = "Decide on it."
    status = 409


class HeldSideOutOfSight(KnownError):
    """A decision would change a record that the person may not see."""

    code = "held_side_out_of_sight"
    message = "The patient who is held has no study in your departments, so you can't decide this."
    action = "Ask somebody who belongs to both departments, or keep the two apart."
    status = 409


class CorrectionContradicts(KnownError):
    """The corrected patient ID is held for yet another person."""

    code = "correction_contradicts"
    message = "The corrected patient ID is held with another {differing}."
    action = "Check the patient ID, and enter what is held for it or another ID."
    status = 409


class ChangedSince(KnownError):
    """A later decision built on the one to be reversed."""

    code = "changed_since"
    message = "What this decision changed has been changed again since."
    action = "Reverse the later decision first."
    status = 409


class AwaitsDecision(KnownError):
    """A quarantined file belongs to a conflict that is open."""

    code = "awaits_decision"
    message = "This file belongs to an identity conflict that nobody has decided."
    action = "Have the conflict decided first: the file may be needed."
    status = 409


class QuarantineEnded(KnownError):
    """The file is not in quarantine any more."""

    code = "quarantine_ended"
    message = "This file is not in quarantine any more."
    action = "Nothing to do."
    status = 409


class MultipartBroken(KnownError):
    """The body of a DICOMweb request isn't a whole multipart message."""

    code = "multipart_broken"
    message = "The request's body is not a whole multipart message: {detail}."
    action = "Send it again; what was stored before is kept, and sending it twice changes nothing."


class MediaTypeUnsupported(KnownError):
    """A body in a form that the store service doesn't take."""

    code = "unsupported_media_type"
    message = "This content type is not accepted."
    action = "Send {offered}."
    status = 415


class NotAcceptable(KnownError):
    """Nothing of what the client accepts can be made of what it asks for."""

    code = "not_acceptable"
    message = "What was asked for can't be sent in a form that you accept."
    action = "Accept one of: {offered}."
    status = 406


class LengthRequired(KnownError):
    """A chunked body behind a server that can't tell its end."""

    code = "length_required"
    message = "The request doesn't say how long it is, and this server can't read it in chunks."
    action = "Send a Content-Length."
    status = 411


class ParameterInvalid(KnownError):
    """A query parameter that can't be understood, or by which nothing is matched."""

    code = "parameter_invalid"
    message = "The query parameter {name} is not valid: {problem}"
    action = "Correct it and ask again; the conformance statement lists what is matched."


class NoSuchBulkData(KnownError):
    """A bulk data address that leads to no element of the object."""

    code = "no_such_bulk_data"
    message = "The object has no bulk data under this address."
    action = "Use the BulkDataURI values of the object's metadata."
    status = 404


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

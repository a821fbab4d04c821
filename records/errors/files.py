"""Why one file is refused while the rest of its batch goes on."""

from records.dicom.errors import FileRejected


class DiscFile(FileRejected):
    """What lies on a disc beside its images: a viewer and its files, a README."""

    code = "disc_file"
    message = "This file belongs to a disc or its viewer; it holds no image."
    action = "Nothing to do."
    is_harmless = is_left_out = True


class SystemFile(FileRejected):
    """What a desktop leaves in folders and archives."""

    code = "system_file"
    message = "This file was put there by the computer that packed the archive; it holds no image."
    action = "Nothing to do."
    is_harmless = is_left_out = True


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


class HeldFileLost(UidConflict):
    """What is held is lost, and what came can't be compared with it: a person has to look."""

    code = "held_file_lost"
    message = (
        "The stored file of this image is damaged or missing, and this file is written in another "
        "way, so that nobody can tell whether it is the same; it is kept in quarantine."
    )
    action = "{remedy} Or have your administrator restore the lost file from a backup."


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
    """A picture doesn't say whom it shows."""

    code = "patient_required"
    message = "Pictures such as PNG and JPEG don't say whose they are, and no patient ID was given."
    action = "Enter the patient ID and send the file again."


class HeldByOtherDepartment(FileRejected):
    """A study of another department, and the sender sees it: nobody else is told that it is.

    `department` is that other one. The row keeps it apart from the words.
    """

    code = "held_by_other_department"
    message = "The study of this image is held in {department}, another of your departments."
    action = (
        "Send the image to {department} (department={slug}), or have the study moved: a reviewer "
        "of both departments, or an administrator, can do that."
    )


class NotFiledHere(FileRejected):
    """What others are told of a file whose study another department holds: nothing of that one."""

    code = "not_filed_here"
    message = "This file wasn't filed in this department."
    action = "Ask the person who sent it."


class DepartmentUnclear(FileRejected):
    """The rules chose a batch's department, and say something else of this file, or nothing."""

    code = "department_unclear"
    message = (
        "The batch was filed by the departments' rules, and these don't send this file (modality "
        "{modality}, body part {body_part}) where the others went."
    )
    action = "Send it in a batch of its own, or name its department."


class TooManyFiles(FileRejected):
    """The batch is full."""

    code = "too_many_files"
    message = "The submission already has {limit} files, the most that one may have."
    action = "Close this submission and send the rest in another."


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


class UploadNotTaken(FileRejected):
    """It was whole, and couldn't be filed by our own fault until its time was up."""

    code = "upload_not_taken"
    message = "This file arrived, and could not be stored, by our own fault."
    action = "Send the file again. If it happens again, tell your administrator."


class UploadCancelled(FileRejected):
    """The sender took a file back before it had arrived."""

    code = "upload_cancelled"
    message = "The sender cancelled this file after {received} of {size}."
    action = "Nothing to do."
    is_harmless = True


HARMLESS_CODES = frozenset(
    error.code for error in FileRejected.__subclasses__() if error.is_harmless
)
"""Codes of refusals that leave a batch whole."""

LEFT_OUT_CODES = frozenset(
    error.code for error in FileRejected.__subclasses__() if error.is_left_out
)
"""Those of them that say that a file never was an image."""

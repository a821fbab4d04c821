"""What can be wrong with a batch, or with what is declared with it."""

from accounts.errors import KnownError


class DepartmentRequired(KnownError):
    """No department to file the images in."""

    code = "department_required"
    message = "No department was chosen."
    action = "Choose the department that the images belong to."
    pointer = "/department"


class DepartmentUnknown(KnownError):
    """Not a department in which this person may submit; whether it exists isn't said."""

    code = "department_unknown"
    message = "There is no such department to which you may send images."
    action = "Choose one of your own departments."
    pointer = "/department"


class SubmissionEnded(KnownError):
    """A batch takes no files once it is closed."""

    code = "submission_closed"
    message = "This submission is closed and takes no more files."
    action = "Start a new submission for the remaining files."
    status = 409


class TooManyInOneRequest(KnownError):
    """More files than one batch may have: the request was read no further."""

    code = "too_many_files"
    message = (
        "{taken} files of this request were taken. A batch may have {limit}; the rest wasn't read."
    )
    action = "Send the rest in another request."
    status = 413


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

"""What can be wrong with a batch, or with what is declared with it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from accounts.errors import KnownError
from records.dicom.errors import FileTooLarge

if TYPE_CHECKING:  # errors are known before any model is
    from accounts.models import Department


class DepartmentRequired(KnownError):
    """No department to file the images in; `departments` are those to choose from."""

    code = "department_required"
    message = "No department was chosen, and no rule of your departments chooses one."
    action = (
        "Name the department that the images belong to as `department` (in DICOMweb as "
        "?department= or in the header X-Department): {named}."
    )
    members = ("departments",)
    pointer = "/department"

    def __init__(self, departments: "Iterable[Department]" = ()) -> None:
        """Name those that the sender may choose from."""
        offered = [{"slug": row.slug, "name": row.name} for row in departments]
        named = ", ".join(f"{row['slug']} ({row['name']})" for row in offered)
        super().__init__(departments=offered, named=named or "you have none")


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


class RequestTooLarge(KnownError):
    """The announced size alone says that the file can't be accepted: no byte of it was read."""

    code = FileTooLarge.code
    message = FileTooLarge.message
    action = FileTooLarge.action
    status = 413

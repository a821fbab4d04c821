"""What can be wrong with a DICOM node."""

from accounts.errors import KnownError


class NodeTitleTaken(KnownError):
    """Callers are told apart by their AE title."""

    code = "node_title_taken"
    message = "There is already a DICOM node with the AE title {ae_title}."
    action = "Choose another AE title, and set it in the device too."
    status = 409

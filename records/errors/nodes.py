"""What can be wrong with a DICOM node, or with what it asks."""

from accounts.errors import KnownError


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

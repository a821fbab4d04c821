"""What can be wrong with a DICOM node."""

from accounts.errors import KnownError


class NodeTitleTaken(KnownError):
    """Callers are told apart by their AE title."""

    code = "node_title_taken"
    message = "There is already a DICOM node with the AE title {ae_title}."
    action = "Choose another AE title, and set it in the device too."
    status = 409


class NodeNotWaiting(KnownError):
    """What is in force needs no confirmation."""

    code = "node_not_waiting"
    message = "Nothing about the DICOM node {ae_title} waits for a confirmation."
    action = "Look at the list again: somebody else may have decided."
    status = 409


class NodeChangedMeanwhile(KnownError):
    """People confirm what they have read."""

    code = "node_changed_meanwhile"
    message = "The DICOM node {ae_title} was changed after you opened this page."
    action = "Read what it may do now, then decide."
    status = 409


class NodeOwnChange(KnownError):
    """Whoever lets a node take images away is not who asked for it."""

    code = "node_own_change"
    message = "You changed the DICOM node {ae_title}, so you can't confirm it."
    action = "Ask another person of the department."
    status = 403

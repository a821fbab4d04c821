"""Why an image can't be shown."""

from accounts.errors import KnownError


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
    pointer = "/frame"
    status = 404


class WindowInvalid(KnownError):
    """A window that isn't two numbers, or that has no width."""

    code = "window_invalid"
    message = "The window's center and width must both be given as numbers, the width above 0."
    action = "Correct `center` and `width`, or leave both out."


class StoredFileDamaged(KnownError):
    """The stored bytes aren't those that were received; they are never shown or classified.

    404 (RFC 9110): there is no representation that could be sent, and asking again doesn't help.
    """

    code = "file_damaged"
    message = "The stored file of this image is damaged."
    action = (
        "Send the image again from where it came, which puts it back; else tell your "
        "administrator, who can restore it from a backup."
    )
    status = 404


class StoredFileMissing(KnownError):
    """The store has no file where the row points; 404 as for a damaged one."""

    code = "file_missing"
    message = "The stored file of this image is missing."
    action = (
        "Send the image again from where it came, which puts it back; else tell your "
        "administrator, who can restore it from a backup."
    )
    status = 404

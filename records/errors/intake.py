"""Why a file wasn't taken that may be sound: our own fault, and never a verdict on the file."""

from records.dicom.errors import IntakeFailed


class FileNotTaken(IntakeFailed):
    """Something that nobody foresaw; the log has the rest under the reference."""

    code = "intake_failed"
    message = (
        "Something went wrong on our side, so not everything was stored (reference {reference})."
    )
    action = (
        "Send it again: what is held already isn't stored twice. If it happens again, give your "
        "administrator the reference."
    )
    is_of_one_file = True


class DiskFull(IntakeFailed):
    """No room to store the file."""

    code = "disk_full"
    message = "There is no room left to store the file."
    action = "Tell your administrator, and send the file again afterwards."
    retry_after = 300


class StorageLow(IntakeFailed):
    """The disk is so nearly full that nothing more is taken in; what is held can be used."""

    code = "storage_low"
    message = "Storage is nearly full, so no more images are taken in at present."
    action = "Tell your administrator, and send the file again once there is room."
    retry_after = 300


class ContentMismatch(IntakeFailed):
    """Other bytes lie under the name that these ones would get; they are left as they are."""

    code = "storage_mismatch"
    message = "The store holds a damaged copy of this very file ({sha256})."
    action = "Give your administrator this message: the copy has to be restored or removed first."
    is_of_one_file = True

"""Why nothing can be read from the store or put into it, whatever is asked for."""

from records.dicom.errors import IntakeFailed


class StoreUnavailable(IntakeFailed):
    """The place of the files doesn't answer, refuses, or isn't the store: no file is to blame.

    `reason` in its context says what was found, for the log and for whoever runs the product.
    """

    code = "storage_unavailable"
    message = "The storage can't be reached at present."
    action = "Try again in a minute. If it stays so, tell your administrator."
    is_passing = True

    @property
    def reason(self) -> str:
        """What was found, in words that name no file and nobody."""
        return str(self.context.get("reason", "it doesn't answer"))


class StoreForeign(StoreUnavailable):
    """A store is there, and it is another database's."""

    code = "storage_foreign"
    message = "The storage belongs to another installation, so it isn't used."
    action = "Tell your administrator: another volume or bucket is in place of this one's."

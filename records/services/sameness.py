"""Whether an object that came is the one that is held: found out before anything is locked."""

from uuid import UUID

from records.dicom.reading.preamble import have_same_data_set
from records.dicom.sandbox.sameness import have_same_content
from records.errors import StoredFileDamaged, StoredFileMissing
from records.files.open import open_verified
from records.files.pixels import in_batches
from records.files.sandboxed import sandbox
from records.files.spool import open_spooled
from records.models import Instance
from records.services.healing import held_file_lost
from records.services.verdicts import ReceivedObject


class NotCompared(Exception):
    """Nobody has looked yet whether an object is the one that is held."""

    def __init__(self, held: Instance) -> None:
        """The transaction that met it ends, so that none is open while the two are read."""
        super().__init__(held.pk)
        self.held = held


class Comparisons:
    """What is known of objects that came under identifiers that are held."""

    def __init__(self, lost: frozenset[UUID] = frozenset()) -> None:
        """Nothing yet, but which instances were found to have no whole file."""
        self.lost = lost
        self._found: dict[tuple[str, str], bool] = {}

    def is_same(self, held: Instance, received: ReceivedObject) -> bool:
        """Whether an object is the one that is held, however it is written.

        Raises NotCompared, and HeldFileLost where there is nothing to compare it with.
        """
        if {received.source.sha256, received.file.sha256} & {held.source_sha256, held.sha256}:
            return True
        if _has_same_data_set(held, received):
            return True
        if held.pk in self.lost:
            raise held_file_lost(held, received)
        found = self._found.get((held.sha256, received.file.sha256))
        if found is None:
            raise NotCompared(held)
        return found

    def settle(self, held: Instance, received: ReceivedObject) -> None:
        """Compare the two by value and by pixel; call it outside of any transaction.

        Where the file that is held can't be read it is lost. Raises StoreUnavailable.
        """
        try:
            self._found[held.sha256, received.file.sha256] = _are_same(held, received)
        except (StoredFileMissing, StoredFileDamaged):
            self.lost |= {held.pk}


def _has_same_data_set(held: Instance, received: ReceivedObject) -> bool:
    has_same_syntax = received.header.transfer_syntax_uid == held.transfer_syntax_uid
    is_known = has_same_syntax and held.data_set_sha256
    return bool(is_known) and held.data_set_sha256 == received.data_set_sha256


def _are_same(held: Instance, received: ReceivedObject) -> bool:
    with (
        open_verified(held) as stored,
        open_spooled(received.file) as stream,
    ):
        has_same_syntax = received.header.transfer_syntax_uid == held.transfer_syntax_uid
        if has_same_syntax and have_same_data_set(stored, stream):
            return True
        if received.header.geometry.frames != held.number_of_frames:
            return False
        batches = in_batches(held, range(held.number_of_frames))
        return have_same_content(sandbox, stored, stream, batches=batches)

"""What a peer sends, within limits: one unit of the protocol, one message, one data set.

pynetdicom trusts the lengths that a peer states and keeps whole messages in memory, or in files
that outlive a broken association. Here a data set lies in memory while it is small, then in an
unnamed file in our own storage, and no path is ever made of anything that was sent.
"""

import contextlib
import logging
import socket
import time
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dsutils import create_file_meta, encode_file_meta
from pynetdicom.pdu_primitives import P_DATA

from records.dicom.reading.preamble import PREAMBLE
from records.dimse.outgoing import PacedMessages
from records.errors import DiskFull, StoreUnavailable
from records.files.spool import spool_directory
from records.files.stores import check_store

logger = logging.getLogger(__name__)

IMPLEMENTATION_CLASS_UID = UID("2.25.149843052932697327717219666293177155367")
IMPLEMENTATION_VERSION = "MEDIMAGING"
"""Written into every file, so for ever the same: the same object sent again must give the same
bytes."""

MEMORY_BYTES = 4 * 1024 * 1024
COMMAND_BYTES = 64 * 1024
IDENTIFIER_BYTES = 1024 * 1024
SMALLEST_PDU_LIMIT = 1024 * 1024
RECEIVE_BYTES = 256 * 1024
WAITING_MESSAGES = 8
"""Messages that a peer may send ahead; it has no leave to send any (no asynchronous operations)."""
INVALID_PDU = "Evt19"


class IncomingObject:
    """A data set on its way in, written as a DICOM file; read from its beginning.

    One that is larger than accepted is written no further, so that reading it meets the limit.
    pynetdicom takes this for a temporary file of its own: it writes, flushes `file`, closes it
    and removes the file called `name`, of which there is none.
    """

    name = ""

    def __init__(self, *, sop_class_uid: str, sop_instance_uid: str, syntax: str) -> None:
        self._file = SpooledTemporaryFile(  # noqa: SIM115 - it lives as long as its message
            max_size=MEMORY_BYTES, dir=_spool_directory()
        )
        self._size = 0
        self._failure: OSError | None = None
        meta = create_file_meta(
            sop_class_uid=UID(sop_class_uid),
            sop_instance_uid=UID(sop_instance_uid),
            transfer_syntax=UID(syntax),
            implementation_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version=IMPLEMENTATION_VERSION,
        )
        self.write(PREAMBLE + encode_file_meta(meta))

    @property
    def file(self) -> "IncomingObject":
        """Itself: what pynetdicom flushes."""
        return self

    def flush(self) -> None:
        """Do nothing: it is read by the process that writes it."""

    def write(self, data: bytes) -> None:
        """Add `data`; a disk that is full is met when reading."""
        if self._failure or self._size > settings.INTAKE_MAX_FILE_BYTES:
            return
        try:
            self._file.write(data)
            self._size += len(data)
        except OSError as error:
            self._failure = error

    def seek(self, position: int, /) -> int:
        """Go to `position`."""
        return self._file.seek(position)

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes.

        Raises DiskFull where they couldn't all be written, StoreUnavailable where it is that or
        their place isn't there.
        """
        if self._failure:
            check_store()
            if isinstance(self._failure, FileNotFoundError):
                raise StoreUnavailable(reason="the place for incoming files isn't there")
            raise DiskFull from self._failure
        return self._file.read(size)

    def close(self) -> None:
        """Let go of the memory or the file."""
        self._file.close()


def _spool_directory() -> str:
    """Where larger ones lie; while store or database are away, that is met when one is read."""
    with contextlib.suppress(StoreUnavailable, DatabaseError):
        spool_directory()
    return str(settings.INTAKE_SPOOL_DIR)


class BoundedMessages(PacedMessages):
    """pynetdicom's assembly of messages, with a limit for each part of one."""

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        self._received = 0

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take what came in one unit, value by value; end an association that breaks a limit."""
        for context_id, data in primitive.presentation_data_value_list:
            if self.message is None:
                self._received = 0
            self._received += len(data)
            if not data or self._received > self._limit(data) or self._is_crowded():
                self._give_up("sent more than it may")
                return
            part = P_DATA()
            part.presentation_data_value_list.append((context_id, data))
            try:
                super().receive_primitive(part)
                self._spool()
            except Exception:
                logger.info("Association with a peer that can't be understood", exc_info=True)
                self._give_up("can't be understood")
                return

    def drop(self) -> None:
        """Forget a message that will never be whole."""
        if self.message is not None and self.message._data_set_file is not None:
            self.message._data_set_file.close()
        self.message = None

    def _limit(self, data: bytes) -> int:
        if data[0] & 1:
            return COMMAND_BYTES
        if isinstance(self.message, C_STORE_RQ):
            # What goes beyond the limit for a file isn't kept, and is refused with its reason.
            return 2**63
        return COMMAND_BYTES + IDENTIFIER_BYTES

    def _is_crowded(self) -> bool:
        return self.msg_queue.qsize() > WAITING_MESSAGES

    def _give_up(self, reason: str) -> None:
        logger.warning("Association with %s aborted: it %s", self.assoc.requestor.address, reason)
        self.drop()
        self.dul.event_queue.put(INVALID_PDU)

    def _spool(self) -> None:
        """Once a C-STORE's command is known, have its data set written where we want it."""
        if not isinstance(self.message, C_STORE_RQ) or self.message._data_set_file is not None:
            return
        message: Any = self.message
        command = message.command_set
        context = self.assoc._accepted_cx[message.context_id]
        message._data_set_file = IncomingObject(
            sop_class_uid=str(command.AffectedSOPClassUID),
            sop_instance_uid=str(command.AffectedSOPInstanceUID),
            syntax=context.transfer_syntax[0],
        )
        message.data_set = BytesIO()


def bind_limits(association: Association, connection: socket.socket) -> None:
    """Put limits on what an association reads from its connection."""
    association.dimse = BoundedMessages(association)

    def receive(count: int) -> bytearray:
        return receive_within(connection, count, patience_s=settings.DICOM_IDLE_SECONDS)

    # An attribute, because pynetdicom makes the object that reads before it can be replaced.
    setattr(association.dul.socket, "recv", receive)  # noqa: B010 - a method to the type checker


def excuse_silence(association: Association) -> None:
    """Count a peer's silence from now on: until now it was waiting for us.

    pynetdicom would abort an association after a long operation, as if the peer had slept.
    """
    association.dul._idle_timer.restart()


def receive_within(connection: socket.socket, count: int, *, patience_s: float) -> bytearray:
    """Read `count` bytes, fewer if the peer goes.

    Raises OSError when a peer announces more than it may send at once, and TimeoutError when
    it takes too long, both of which end the association.
    """
    if count > max(2 * settings.DICOM_MAX_PDU_BYTES, SMALLEST_PDU_LIMIT):
        raise OSError(f"a unit of {count} bytes was announced")
    received = bytearray()
    deadline = time.monotonic() + patience_s
    while len(received) < count:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the peer stalled")
        connection.settimeout(left)
        chunk = connection.recv(min(count - len(received), RECEIVE_BYTES))
        if not chunk:
            break
        received += chunk
    connection.settimeout(patience_s)
    return received

"""What goes to a peer: data sets straight from their files, no faster than they leave.

pynetdicom would read an object into memory, encode it there once more and queue all of it.
"""

import os
import time
from pathlib import Path
from typing import IO, Any, cast

from django.conf import settings
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA

WAITING_UNITS = 16
"""Units of the protocol that may wait to be sent: with the largest of ours 2 MB."""
LOOK_SECONDS = 0.002
UNCONNECTED = "Sta1"
"""pynetdicom's state without a connection (PS3.8 9.2.1)."""


class PacedMessages(DIMSEServiceProvider):
    """pynetdicom's sending of messages, with little in memory however large an object is."""

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        self._lent: tuple[IO[bytes], int] | None = None
        self._paced = _Paced(assoc)
        self.objects = 0

    @property
    def data_bytes(self) -> int:
        """How many bytes of data sets were handed to the connection."""
        return self._paced.data_bytes

    def lend(self, stream: IO[bytes], start: int) -> None:
        """Have the next C-STORE's data set read from `start` of an open file."""
        self._lent = stream, start

    @property
    def maximum_pdu_size(self) -> int:
        """The longest unit that the peer takes, within what is sensible: 0 would be any."""
        ours: int = settings.DICOM_MAX_PDU_BYTES
        return min(super().maximum_pdu_size or ours, ours)

    @property
    def dul(self) -> DULServiceProvider:
        """The layer below, which is given no more than it can send."""
        return cast(DULServiceProvider, self._paced)

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message; the data set of a C-STORE request comes from the file lent for it.

        The object counts once all of it was handed to the connection.
        """
        if isinstance(primitive, C_STORE) and primitive.MessageIDBeingRespondedTo is None:
            lent, self._lent = self._lent, None
            if lent is not None:
                stream, start = lent
                # By the descriptor: the file may have no name, and its position stays its own.
                path = Path(f"/proc/self/fd/{stream.fileno()}")
                primitive.DataSet, primitive._dataset_path = None, (path, start)
                before, size = self.data_bytes, os.fstat(stream.fileno()).st_size - start
                super().send_msg(primitive, context_id)
                self.objects += self.data_bytes - before == size
                return
        super().send_msg(primitive, context_id)


def bind_pace(association: Association) -> None:
    """Have an association of ours send no faster than its peer takes, nor wait for it for ever."""
    association.dimse = PacedMessages(association)
    connected = association.dul.socket.socket if association.dul.socket else None
    if connected is not None:
        connected.settimeout(settings.DICOM_IDLE_SECONDS)


class _Paced:
    """The layer below an association's messages."""

    def __init__(self, association: Association) -> None:
        self._association = association
        self.data_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._association.dul, name)

    def send_pdu(self, primitive: Any) -> None:
        """Queue a unit once there is room; with a peer that takes none any more, nothing."""
        if _wait_for_room(self._association):
            # Before it leaves: what is told may be more than what arrived, never less.
            self.data_bytes += _data_bytes_of(primitive)
            self._association.dul.send_pdu(primitive)


def _data_bytes_of(primitive: Any) -> int:
    """The bytes of a data set in a unit; those of commands have the lowest bit of a mark set."""
    if not isinstance(primitive, P_DATA):
        return 0
    values = [value for _, value in primitive.presentation_data_value_list]
    return sum(len(value) - 1 for value in values if value and not value[0] & 1)


def _wait_for_room(association: Association) -> bool:
    """Return once little waits to be sent; False where nothing will be sent any more.

    A peer that takes nothing is given up by the connection's own timeout.
    """
    below = association.dul
    while below.to_provider_queue.qsize() >= WAITING_UNITS:
        if not below.is_alive() or below.state_machine.current_state == UNCONNECTED:
            return False
        time.sleep(LOOK_SECONDS)
    return True

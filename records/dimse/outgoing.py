"""What goes to a peer: data sets straight from their files, no faster than they leave.

pynetdicom would read an object into memory, encode it there once more and queue all of it.
"""

import time
from pathlib import Path
from typing import IO, Any, cast

from django.conf import settings
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dul import DULServiceProvider

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
        return cast(DULServiceProvider, _Paced(self.assoc))

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message; the data set of a C-STORE request comes from the file lent for it."""
        if isinstance(primitive, C_STORE) and primitive.MessageIDBeingRespondedTo is None:
            lent, self._lent = self._lent, None
            if lent is not None:
                stream, start = lent
                # By the descriptor: the file may have no name, and its position stays its own.
                path = Path(f"/proc/self/fd/{stream.fileno()}")
                primitive.DataSet, primitive._dataset_path = None, (path, start)
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

    def __getattr__(self, name: str) -> Any:
        return getattr(self._association.dul, name)

    def send_pdu(self, primitive: Any) -> None:
        """Queue a unit once there is room; with a peer that takes none any more, nothing."""
        if _wait_for_room(self._association):
            self._association.dul.send_pdu(primitive)


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

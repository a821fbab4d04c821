"""The listening side: connections within limits, and one thread that looks after each of them."""

import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from socketserver import BaseServer
from typing import Any

from django.conf import settings
from django.db import connection
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ABORT
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from records.dimse.admission import admit
from records.dimse.encryption import tls_as_listener
from records.dimse.incoming import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION,
    BoundedMessages,
    bind_limits,
)
from records.dimse.outgoing import UNCONNECTED
from records.dimse.query import find
from records.dimse.retrieve import get, move
from records.dimse.serving import bind_service
from records.dimse.session import Session
from records.dimse.store import store
from records.metrics import OUTCOMES, count_answer, count_association

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
INTRODUCTION_SECONDS = 10
"""How long a caller has to ask for its association, and another to answer ours."""
ABORT_SECONDS = 1.0
"""How long a peer has to take our A-ABORT before its connection is cut."""


class Connection(RequestHandler):
    """One connection from its first byte to its last, in a thread of its own.

    pynetdicom runs the association in two more threads. This one waits for them, keeps the
    submission alive and the limits, and closes the submission however the association ended.
    """

    server: "DicomServer"

    def setup(self) -> None:
        """Give the peer a limited time to say anything, the handshake of TLS included."""
        self.request.settimeout(settings.DICOM_IDLE_SECONDS)
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()

    def handle(self) -> None:
        """Serve the association."""
        session = Session(address=self.client_address[0])
        association = self._create_association()
        self._bind(association, session)
        association.start()
        try:
            self._look_after(association, session)
        finally:
            self._end(association)
            self._close(session)
            connection.close()

    def finish(self) -> None:
        """Close the connection."""
        self.server.shutdown_request(self.request)

    def _bind(self, association: Association, session: Session) -> None:
        bind_limits(association, self.request)
        bind_service(association)
        handlers: dict[evt.EventType, Callable[..., Any]] = {
            evt.EVT_REQUESTED: admit,
            evt.EVT_C_STORE: store,
            evt.EVT_C_FIND: find,
            evt.EVT_C_GET: get,
            evt.EVT_C_MOVE: move,
        }
        for event, handler in handlers.items():
            association.bind(event, handler, [session])
        for event in (evt.EVT_REJECTED, evt.EVT_RELEASED, evt.EVT_ABORTED):
            association.bind(event, _let_go_of_database)
        association.bind(evt.EVT_DIMSE_SENT, count_answer)
        for name in OUTCOMES:
            association.bind(getattr(evt, name), count_association)

    def _look_after(self, association: Association, session: Session) -> None:
        started = beaten = time.monotonic()
        was_idle = False
        while association.is_alive():
            association.join(timeout=LOOK_SECONDS)
            is_idle = association.dul.state_machine.current_state == UNCONNECTED
            if is_idle and was_idle and association.requestor.primitive is None:
                # It went without asking for anything, and pynetdicom would wait all the same.
                association.dul.to_user_queue.put(A_ABORT())
            was_idle = is_idle
            now = time.monotonic()
            if now - started > settings.DICOM_ASSOCIATION_SECONDS:
                logger.warning("Association %s has taken too long and is aborted", session.id)
                return
            if now - beaten > settings.DICOM_HEARTBEAT_SECONDS:
                beaten = now
                self._beat(session)

    def _beat(self, session: Session) -> None:
        try:
            with session.acting():
                session.touch()
        except Exception:
            logger.exception("Association %s could not be kept alive", session.id)
        finally:
            connection.close()

    def _end(self, association: Association) -> None:
        """Make sure that nothing of the association runs on."""
        cut_off(association)
        association.join()
        if isinstance(association.dimse, BoundedMessages):
            association.dimse.drop()

    def _close(self, session: Session) -> None:
        stored = session.objects
        try:
            with session.acting():
                session.close()
        except Exception:
            logger.exception("The submission of association %s can't be closed", session.id)
        if session.node is not None:
            logger.info(
                "Association %s with %s at %s ended after %d objects",
                *(session.id, session.node.ae_title, session.address, stored),
            )


class DicomServer(ThreadedAssociationServer):
    """Accepts connections while there is room, without ever waiting for a single peer."""

    request_queue_size = 64

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse connections far beyond the associations that are allowed.

        A few more are let in, so that they can be told that there are too many.
        """
        if len(self.active_associations) < 2 * settings.DICOM_MAX_ASSOCIATIONS:
            return True
        logger.warning("Connection from %s refused: too many", client_address[0])
        return False

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; its TLS handshake is left to its own thread."""
        if self.socket is None:
            raise OSError("not listening any more")
        accepted, address = self.socket.accept()
        if self.ssl_context:
            accepted = self.ssl_context.wrap_socket(
                accepted, server_side=True, do_handshake_on_connect=False
            )
        return accepted, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what broke a connection: strangers' handshakes in a line, ours in full."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            logger.info("Connection from %s broken: %s", client_address[0], error)
        else:
            logger.exception("Connection from %s", client_address[0])

    def stop(self, *, grace_s: float) -> None:
        """Accept no more, let associations end for a while, abort the rest; all get closed."""
        BaseServer.shutdown(self)
        deadline = time.monotonic() + grace_s
        while self.active_associations and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        for association in self.active_associations:
            cut_off(association)
        # Waits for the threads that close the submissions.
        self.server_close()


def make_server(*, host: str, port: int) -> DicomServer:
    """Start listening; the caller runs `serve_forever` and ends with `stop`.

    Raises OSError where the address can't be had, or a certificate can't be read.
    """
    # What is sent holds patients' names: none of it goes to the log.
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    ae = AE(ae_title=settings.DICOM_AE_TITLE)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION
    ae.maximum_associations = settings.DICOM_MAX_ASSOCIATIONS
    ae.maximum_pdu_size = settings.DICOM_MAX_PDU_BYTES
    ae.network_timeout = settings.DICOM_IDLE_SECONDS
    ae.dimse_timeout = settings.DICOM_IDLE_SECONDS
    ae.acse_timeout = ae.connection_timeout = INTRODUCTION_SECONDS
    return DicomServer(
        ae,
        (host, port),
        settings.DICOM_AE_TITLE,
        contexts=[],
        ssl_context=tls_as_listener(),
        request_handler=Connection,
    )


def _let_go_of_database(event: evt.Event) -> None:
    """Close the database connection of an association's thread, which ends now."""
    connection.close()


def cut_off(association: Association) -> None:
    """Abort an association if it still runs, and cut its connection if that isn't heard."""
    if association.is_established:
        association.abort(block=False)
        deadline = time.monotonic() + ABORT_SECONDS
        while association.dul.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
    connected = association.dul.socket.socket if association.dul.socket else None
    if connected is not None:
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)
    association.kill()

"""C-GET and C-MOVE at the study root: a node's studies, to itself or to a registered node."""

import logging
import socket
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import IO, Any

from django.conf import settings
from django.db import DatabaseError, connection
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import build_context, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext

from accounts.deliveries import Delivery, begin_delivery
from accounts.errors import DatabaseUnavailable
from accounts.outages import is_database_outage
from records.choices import Action
from records.dicom.attributes import Level
from records.dicom.reading.preamble import find_data_set, is_explicit
from records.dimse import statuses
from records.dimse.encryption import tls_as_caller
from records.dimse.incoming import excuse_silence
from records.dimse.outgoing import PacedMessages, bind_pace
from records.dimse.query import check_given, find_rows, read_identifier
from records.dimse.session import Session
from records.errors import NotAcceptable, ParameterInvalid, StoreUnavailable
from records.failure_reasons import DATA_SET_MISMATCH, MATCHES_NOT_COUNTED
from records.files.open import open_verified
from records.files.sending import rewritten_pieces
from records.files.spool import spool_directory
from records.models import DicomNode, Instance

logger = logging.getLogger(__name__)

UNIQUE_KEYS = {
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.INSTANCE: "SOPInstanceUID",
}
PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
MOST_CONTEXTS = 128
UNKNOWN_DESTINATION = (None, None)


@dataclass(frozen=True, slots=True)
class DataSetFile:
    """An open file with a data set from `start` to its end, written in `syntax`."""

    file: IO[bytes]
    start: int
    syntax: UID


@dataclass(frozen=True, slots=True)
class Sending:
    """The objects of one study that are to be sent, and what is told of them."""

    delivery: Delivery
    instances: list[Instance]


@dataclass(slots=True)
class Peer:
    """Who is sent objects: the transfer syntaxes that it takes, by SOP class, and the way there."""

    takes: dict[str, set[str]] = field(default_factory=dict)
    messages: PacedMessages | None = None

    @contextmanager
    def counting(self, delivery: Delivery) -> Iterator[None]:
        """Add to a delivery what is handed to the connection meanwhile."""
        objects, size = self._handed()
        try:
            yield
        finally:
            now = self._handed()
            delivery.instances += now[0] - objects
            delivery.size += now[1] - size

    def _handed(self) -> tuple[int, int]:
        return (self.messages.objects, self.messages.data_bytes) if self.messages else (0, 0)

    def meet(self, association: Association) -> None:
        """Note what an association has settled."""
        if isinstance(association.dimse, PacedMessages):
            self.messages = association.dimse
        for context in association.accepted_contexts:
            syntaxes = self.takes.setdefault(str(context.abstract_syntax), set())
            syntaxes.add(str(context.transfer_syntax[0]))


def get(event: Event, session: Session) -> Iterator[Any]:
    """Send what is asked for back over the same association: how many, then each."""
    try:
        with session.acting():
            found = _plan(event, session, destination=_title(session))
    except ParameterInvalid as error:
        yield 1
        yield statuses.as_status(DATA_SET_MISMATCH, error.message), None
        return
    except DatabaseError as error:
        if not is_database_outage(error):
            raise
        logger.warning("database_unavailable: retrieval by association %s refused", session.id)
        yield 1
        yield statuses.as_status(MATCHES_NOT_COUNTED, DatabaseUnavailable.code), None
        return
    with _telling(found, session):
        yield from _answer_get(event, session, found)


def _answer_get(event: Event, session: Session, found: list[Sending]) -> Iterator[Any]:
    yield sum(len(one.instances) for one in found)
    peer = Peer()
    peer.meet(event.assoc)
    roles = event.assoc.requestor.role_selection
    # Who hasn't said that it takes objects of a class on this association is sent none.
    willing = {str(uid) for uid in roles if roles[uid].scp_role}
    peer.takes = {uid: peer.takes[uid] for uid in peer.takes.keys() & willing}
    yield from _send(event, session, found, peer)


def move(event: Event, session: Session) -> Iterator[Any]:
    """Send what is asked for to a registered node: where to, how many, then each."""
    with session.acting():
        destination = _destination(event, session)
        found = _plan(event, session, destination=destination[0].ae_title) if destination else []
    if destination is None:
        logger.warning("Association %s asked for an unknown destination", session.id)
        yield UNKNOWN_DESTINATION
        return
    with _telling(found, session):
        yield from _answer_move(event, session, found, destination)


def _answer_move(
    event: Event, session: Session, found: list[Sending], destination: tuple[DicomNode, str]
) -> Iterator[Any]:
    node, address = destination
    peer = Peer()
    yield (
        address,
        node.port,
        {
            "contexts": _proposed(instance for one in found for instance in one.instances),
            "ae_title": node.ae_title,
            "max_pdu": settings.DICOM_MAX_PDU_BYTES,
            "tls_args": (tls_as_caller(), node.host) if node.uses_tls else None,
            "evt_handlers": [(evt.EVT_ACCEPTED, _meet, [peer])],
        },
    )
    yield sum(len(one.instances) for one in found)
    yield from _send(event, session, found, peer)


def _title(session: Session) -> str:
    return session.node.ae_title if session.node else ""


def _destination(event: Event, session: Session) -> tuple[DicomNode, str] | None:
    """Return the registered node that is meant, and the IP address behind its host.

    pynetdicom would take a host's plain name for an IPv6 address.
    """
    title = str(event.move_destination or "").strip()
    if session.node is None:
        return None
    node = DicomNode.objects.destinations_for(session.node).filter(ae_title=title).first()
    if node is None:
        return None
    try:
        found = socket.getaddrinfo(node.host, node.port, type=socket.SOCK_STREAM)
    except OSError:
        return None
    return node, str(found[0][4][0])


def _plan(event: Event, session: Session, *, destination: str) -> list[Sending]:
    """Return what is to be sent, having noted it; raises ParameterInvalid.

    It is noted before the first byte leaves: what was sent must be in the trail whatever breaks.
    How much it was is noted when it ends.
    """
    level, wanted = read_identifier(event)
    unique = {keyword: wanted[keyword] for keyword in UNIQUE_KEYS.values() if wanted.get(keyword)}
    check_given(unique, [UNIQUE_KEYS[level]])
    found = find_rows(session.caller, Level.INSTANCE, unique)
    instances = list(found.order_by("series__study_id", "series_id", "instance_number", "id"))
    grouped = groupby(instances, key=lambda instance: instance.series.study_id)
    return [_begin(list(of_study), level, destination) for _, of_study in grouped]


def _begin(instances: list[Instance], level: Level, destination: str) -> Sending:
    study = instances[0].series.study
    asked_for = {"destination": destination, "asked_for": len(instances), "level": level.name}
    delivery = begin_delivery(
        action=Action.STUDY_RETRIEVED, actor=None, target=study, study=study, details=asked_for
    )
    return Sending(delivery, instances)


@contextmanager
def _telling(found: Iterable[Sending], session: Session) -> Iterator[None]:
    """Note of each study what left, however the sending ends."""
    try:
        yield
    finally:
        with session.acting():
            for one in found:
                one.delivery.is_complete = one.delivery.instances == len(one.instances)
                one.delivery.end()
        # Its association may be gone, and nobody would close it then.
        connection.close()


def _proposed(instances: Iterable[Instance]) -> list[PresentationContext]:
    """Propose each class as it is stored, and plainly encoded in case the peer wants that."""
    stored = dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in instances)
    classes = dict.fromkeys(sop_class for sop_class, _ in stored)
    contexts = [build_context(sop_class, list(PLAIN)) for sop_class in classes]
    contexts += [
        build_context(sop_class, syntax) for sop_class, syntax in stored if syntax not in PLAIN
    ]
    return contexts[:MOST_CONTEXTS]


def _meet(event: Event, peer: Peer) -> None:
    """Prepare an association of ours, before anything is sent on it."""
    bind_pace(event.assoc)
    peer.meet(event.assoc)


def _send(
    event: Event, session: Session, found: list[Sending], peer: Peer
) -> Iterator[tuple[int | Dataset, Dataset | None]]:
    count = sum(len(one.instances) for one in found)
    logger.info("Association %s retrieves %d objects", session.id, count)
    try:
        for one in found:
            for instance in one.instances:
                if event.is_cancelled:
                    yield statuses.CANCELLED, None
                    return
                with ExitStack() as stack, peer.counting(one.delivery):
                    yield statuses.PENDING, _announce(instance, peer, stack)
    except StoreUnavailable as error:
        # Of the others the peer would be told, one by one, that they failed for good.
        yield statuses.as_status(statuses.UNABLE_TO_SEND, error.code), None
    finally:
        excuse_silence(event.assoc)


def _announce(instance: Instance, peer: Peer, stack: ExitStack) -> Dataset:
    """Return what pynetdicom needs to know of an object; its data set is lent to the peer.

    One that can't be read, unpacked or taken goes without a syntax: sending it fails, and the
    peer is told which one it was. Raises StoreUnavailable.
    """
    named = Dataset()
    named.SOPClassUID = instance.sop_class_uid
    named.SOPInstanceUID = instance.sop_instance_uid
    syntaxes = peer.takes.get(instance.sop_class_uid, set())
    try:
        data_set = stack.enter_context(open_as_taken(instance, syntaxes))
    except StoreUnavailable:
        raise
    except Exception:
        logger.exception("Instance %s can't be sent", instance.pk)
        return named
    if peer.messages is not None:
        peer.messages.lend(data_set.file, data_set.start)
    named.file_meta = FileMetaDataset()
    named.file_meta.TransferSyntaxUID = data_set.syntax
    return named


@contextmanager
def open_as_taken(instance: Instance, syntaxes: Collection[str]) -> Iterator[DataSetFile]:
    """Open a stored object as a peer takes it: as it is, else in a plain syntax.

    Raises StoredFileMissing, StoredFileDamaged, NotAcceptable where the peer takes nothing that
    could be made of it, and the errors of `rewritten_pieces`.
    """
    with open_verified(instance) as stream:
        stored = UID(instance.transfer_syntax_uid)
        start = find_data_set(stream)
        if start is not None and stored in syntaxes and _is_as_said(stream, start, stored):
            yield DataSetFile(stream, start, stored)
            return
        syntax = next((plain for plain in PLAIN if plain in syntaxes), None)
        if syntax is None:
            raise NotAcceptable(offered="what the peer does not take")
        with tempfile.TemporaryFile(dir=spool_directory()) as plain:
            for piece in rewritten_pieces(stream, instance, syntax):
                plain.write(piece)
            plain.flush()
            yield DataSetFile(plain, find_data_set(plain) or 0, syntax)


def _is_as_said(stream: IO[bytes], start: int, syntax: UID) -> bool:
    """Whether the bytes from there may be sent as they are; deflated ones never are."""
    if syntax == DeflatedExplicitVRLittleEndian:
        return False
    return is_explicit(stream, start) is not syntax.is_implicit_VR

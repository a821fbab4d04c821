"""C-GET and C-MOVE at the study root: a node's studies, to itself or to a registered node."""

import logging
import socket
import tempfile
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from typing import IO, Any

from django.conf import settings
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import build_context, evt
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext

from accounts.audit import record_event
from accounts.models import Action
from records.attributes import Level
from records.dimse import statuses
from records.dimse.incoming import excuse_silence
from records.dimse.query import check_given, find_rows, read_identifier
from records.dimse.session import Session
from records.errors import ParameterInvalid
from records.failure_reasons import DATA_SET_MISMATCH
from records.intake.isolation.calls import locate
from records.models import DicomNode, Instance
from records.sending import file_pieces
from records.stored import open_verified

logger = logging.getLogger(__name__)

UNIQUE_KEYS = {
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.INSTANCE: "SOPInstanceUID",
}
PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
MOST_CONTEXTS = 128
UNDEFINED = 0xFFFFFFFF
UNKNOWN_DESTINATION = (None, None)

Offered = dict[str, set[str]]
"""The transfer syntaxes that a peer takes, by SOP class."""


def get(event: Event, session: Session) -> Iterator[Any]:
    """Send what is asked for back over the same association: how many, then each."""
    try:
        with session.acting():
            found = _plan(event, session, destination=_title(session))
    except ParameterInvalid as error:
        yield 1
        yield statuses.as_status(DATA_SET_MISMATCH, error.message), None
        return
    yield len(found)
    roles = event.assoc.requestor.role_selection
    offered: Offered = {}
    _note(offered, event.assoc.accepted_contexts)
    # Who hasn't said that it takes objects of a class on this association is sent none.
    takes = {str(uid): offered.get(str(uid), set()) for uid in roles if roles[uid].scp_role}
    yield from _send(event, session, found, takes)


def move(event: Event, session: Session) -> Iterator[Any]:
    """Send what is asked for to a registered node: where to, how many, then each."""
    with session.acting():
        destination = _destination(event, session)
        found = _plan(event, session, destination=destination[0].ae_title) if destination else []
    if destination is None:
        logger.warning("Association %s asked for an unknown destination", session.id)
        yield UNKNOWN_DESTINATION
        return
    node, address = destination
    takes: Offered = {}
    yield (
        address,
        node.port,
        {
            "contexts": _proposed(found),
            "ae_title": node.ae_title,
            "max_pdu": settings.DICOM_MAX_PDU_BYTES,
            "evt_handlers": [(evt.EVT_ACCEPTED, _note_accepted, [takes])],
        },
    )
    yield len(found)
    yield from _send(event, session, found, takes)


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


def _plan(event: Event, session: Session, *, destination: str) -> list[Instance]:
    """Return what is to be sent, having noted it; raises ParameterInvalid.

    It is noted before the first byte leaves: what was sent must be in the trail whatever breaks.
    """
    level, wanted = read_identifier(event)
    unique = {keyword: wanted[keyword] for keyword in UNIQUE_KEYS.values() if wanted.get(keyword)}
    check_given(unique, [UNIQUE_KEYS[level]])
    found = find_rows(session.caller, Level.INSTANCE, unique)
    instances = list(found.order_by("series__study_id", "series_id", "instance_number", "id"))
    for _, of_study in groupby(instances, key=lambda instance: instance.series.study_id):
        sent = list(of_study)
        study = sent[0].series.study
        record_event(
            action=Action.STUDY_RETRIEVED,
            actor=None,
            target=study,
            study=study,
            details={"destination": destination, "instances": len(sent), "level": level.name},
        )
    return instances


def _proposed(instances: Iterable[Instance]) -> list[PresentationContext]:
    """Propose each class as it is stored, and plainly encoded in case the peer wants that."""
    stored = dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in instances)
    classes = dict.fromkeys(sop_class for sop_class, _ in stored)
    contexts = [build_context(sop_class, list(PLAIN)) for sop_class in classes]
    contexts += [
        build_context(sop_class, syntax) for sop_class, syntax in stored if syntax not in PLAIN
    ]
    return contexts[:MOST_CONTEXTS]


def _note_accepted(event: Event, takes: Offered) -> None:
    _note(takes, event.assoc.accepted_contexts)


def _note(takes: Offered, contexts: Iterable[PresentationContext]) -> None:
    for context in contexts:
        takes.setdefault(str(context.abstract_syntax), set()).add(str(context.transfer_syntax[0]))


def _send(
    event: Event, session: Session, instances: list[Instance], takes: Offered
) -> Iterator[tuple[int, Dataset | None]]:
    logger.info("Association %s retrieves %d objects", session.id, len(instances))
    try:
        for instance in instances:
            if event.is_cancelled:
                yield statuses.CANCELLED, None
                return
            yield statuses.PENDING, load(instance, takes.get(instance.sop_class_uid, ()))
    finally:
        excuse_silence(event.assoc)


def load(instance: Instance, syntaxes: Collection[str]) -> Dataset:
    """Return a stored object as a peer takes it: as it is, else in a plain syntax.

    Its elements are the bytes of its file, which pynetdicom sends without reading them. One that
    can't be read or unpacked comes back with its UIDs alone: sending it fails, and the peer is
    told which one it was.
    """
    syntax = _settled(instance.transfer_syntax_uid, syntaxes)
    try:
        if syntax == instance.transfer_syntax_uid:
            with open_verified(instance) as stream:
                return _as_elements(stream, syntax)
        with tempfile.TemporaryFile() as rewritten:
            for piece in file_pieces(instance, syntax):
                rewritten.write(piece)
            rewritten.flush()
            return _as_elements(rewritten, syntax)
    except Exception:
        logger.exception("Instance %s can't be sent", instance.pk)
        return _named(instance)


def _settled(stored: str, syntaxes: Collection[str]) -> str:
    """The syntax to send in; a deflated object is always unpacked."""
    if stored in syntaxes and stored != DeflatedExplicitVRLittleEndian:
        return stored
    return next((str(plain) for plain in PLAIN if plain in syntaxes), stored)


def _as_elements(stream: IO[bytes], syntax: str) -> Dataset:
    uid, located = UID(syntax), locate(stream)
    encoding = located.is_implicit_vr, uid.is_little_endian
    found = Dataset()
    for number, vr, start, length, has_end_mark in located.elements:
        stream.seek(start)
        found[Tag(number)] = RawDataElement(
            Tag(number),
            vr or None,
            UNDEFINED if has_end_mark else length,
            stream.read(length),
            start,
            *encoding,
        )
    found.set_original_encoding(*encoding, found._character_set)
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = uid
    return found


def _named(instance: Instance) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = instance.sop_class_uid
    dataset.SOPInstanceUID = instance.sop_instance_uid
    return dataset

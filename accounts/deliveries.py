"""Bytes that leave: what is told of them is what was handed to the connection.

A file, a study or an export is told twice: before its first byte, so that a crash hides nothing,
and when it ends, however it ends. Frames and pictures, of which a viewer asks for hundreds, are
added up by the minute (`ReadTally`) until an event tells the sum.
"""

import hashlib
import json
import logging
import uuid
from collections.abc import Iterable, Iterator
from typing import IO, Any, TypeVar
from uuid import UUID

from django.db import models
from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header

from accounts.actions import AuditAction
from accounts.audit import note, prepare_event, record_access, record_event, record_events
from accounts.choices import Action
from accounts.models import AuditEvent, ReadTally, User
from accounts.services.tallies import STAMP, tell_tallies

Frame = TypeVar("Frame")
logger = logging.getLogger(__name__)

BLOCK_BYTES = 64 * 1024


class Delivery:
    """What is on its way: instances, frames and bytes, counted while they leave.

    `event` is what will be told in the end; whoever counts adds to the numbers.
    """

    def __init__(self, event: AuditEvent, *, is_tallied: bool) -> None:
        self.event = event
        self.instances = 0
        self.frames = 0
        self.rows = 0
        self.size = 0
        self.is_complete = False
        self._is_tallied = is_tallied
        self._is_told = False

    def end(self) -> None:
        """Tell what left, once. What can't be told is logged: that it began is in the trail."""
        if self._is_told:
            return
        self._is_told = True
        try:
            self._tell()
        except Exception:
            logger.exception("delivery_untold: %s of %s", self.event.action, self.event.target_id)

    def counted(self, content: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces of one instance, which counts once all of them were taken."""
        yield from content
        self.instances += 1

    def counted_frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Frames, each of which counts when the next is asked for."""
        for frame in frames:
            yield frame
            self.frames += 1

    def counted_rows(self, rows: Iterable[AuditEvent]) -> Iterator[AuditEvent]:
        """Rows of a table, each of which counts when the next is asked for."""
        for row in rows:
            yield row
            self.rows += 1

    def _tell(self) -> None:
        if self._is_tallied:
            _add(self.event, answers=0, frames=self.frames, size=self.size)
            return
        self.event.occurred_at = timezone.now()
        counted = {"rows": self.rows} if self.rows else {"instances": self.instances}
        self.event.details |= {**counted, "bytes": self.size, "is_complete": self.is_complete}
        record_events([self.event])


class DeliveredBody:
    """The body of an answer, counted; its end, or its being broken off, ends the delivery."""

    def __init__(self, pieces: Iterable[bytes], delivery: Delivery, *, instances: int = 0) -> None:
        """Take the pieces; `instances` is how many there are if the body is taken whole."""
        self._source = pieces
        self._pieces = iter(pieces)
        self._delivery = delivery
        self._instances = instances

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = next(self._pieces, None)
        if piece is None:
            if not self._delivery.is_complete:
                self._delivery.is_complete = True
                self._delivery.instances += self._instances
            raise StopIteration
        self._delivery.size += len(piece)
        return piece

    def close(self) -> None:
        """Let go of the source, and tell what left."""
        try:
            for source in (self._pieces, self._source):
                if hasattr(source, "close"):
                    source.close()
        finally:
            self._delivery.end()


def begin_delivery(
    *,
    action: AuditAction,
    actor: User | None,
    target: models.Model | None = None,
    target_id: str = "",
    study: Any = None,
    department_id: UUID | None = None,
    details: dict[str, Any] | None = None,
    searched: Iterable[str] = (),
    is_told: bool = False,
) -> Delivery:
    """Tell that something begins to leave, and return what is told of it when it ends.

    `is_told` says that the caller has told the beginning itself, in its own words.
    """
    told: dict[str, Any] = {**(details or {}), "transfer": uuid.uuid4().hex}
    where: dict[str, Any] = {
        "actor": actor,
        "target": target,
        "target_id": target_id,
        "study": study,
        "department_id": department_id,
        "searched": searched,
    }
    if not is_told:
        record_event(action=Action.TRANSFER_BEGUN, details={"of": action.value, **told}, **where)
    note(action)
    return Delivery(prepare_event(action=action, details=told, **where), is_tallied=False)


def begin_tallied(
    *,
    action: AuditAction,
    actor: User,
    study: Any,
    seen_as: AuditAction | None = None,
    frames: int = 0,
    size: int = 0,
) -> Delivery:
    """Add an answer to the minute's sum, with what is known of it, and tell a first look at once.

    What leaves piece by piece is added when it ends. `seen_as` is what the first look is told as,
    where that is another action.
    """
    record_access(action=seen_as or action, actor=actor, target=study, study=study)
    event = prepare_event(action=action, actor=actor, target=study, study=study)
    _add(event, answers=1, frames=frames, size=size)
    note(action)
    return Delivery(event, is_tallied=True)


def file_answer(
    content: IO[bytes],
    delivery: Delivery,
    *,
    size: int,
    filename: str,
    content_type: str,
    instances: int = 1,
) -> StreamingHttpResponse:
    """Send a file block by block, and tell how much of it left."""
    disposition = content_disposition_header(as_attachment=True, filename=filename)
    body = DeliveredBody(_Blocks(content), delivery, instances=instances)
    return StreamingHttpResponse(
        body,
        content_type=content_type,
        headers={"Content-Disposition": disposition or "attachment", "Content-Length": str(size)},
    )


class _Blocks:
    """An open file as pieces; closed with the answer."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self._content.read(BLOCK_BYTES), b"")

    def close(self) -> None:
        self._content.close()


def _add(event: AuditEvent, *, answers: int, frames: int, size: int) -> None:
    minute = timezone.now().replace(second=0, microsecond=0)
    stamp = {name: _plain(getattr(event, name)) for name in STAMP}
    text = json.dumps([minute.isoformat(), stamp], sort_keys=True)
    is_first = ReadTally.objects.add(
        key=hashlib.sha256(text.encode()).hexdigest(),
        minute=minute,
        stamp=stamp,
        answers=answers,
        frames=frames,
        size=size,
    )
    if is_first:
        tell_tallies()


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value

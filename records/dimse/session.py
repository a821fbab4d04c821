"""One association: who calls, and the submission that its images fill."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from django.conf import settings
from django.db import close_old_connections

from accounts.audit import bind_request_context
from records.choices import Origin
from records.errors import IntakeFailed, SubmissionEnded
from records.files.spool import Readable
from records.models import DicomNode, Submission, SubmissionFile
from records.services import close_submission, open_submission, receive_file, touch_submission

logger = logging.getLogger(__name__)


class Rewindable(Readable, Protocol):
    """What can be read from its beginning once more."""

    def seek(self, position: int, /) -> int:
        """Go to `position`."""


@dataclass
class Session:
    """What is known of one association; `node` is None until a registered one was recognised."""

    address: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    node: DicomNode | None = None
    submission: Submission | None = None
    objects: int = 0
    objects_in_submission: int = 0
    is_lacking: bool = False

    @property
    def caller(self) -> DicomNode:
        """The node that was recognised; nobody else gets as far as asking for something."""
        if self.node is None:
            raise AssertionError("nobody was recognised, and yet asked for something")
        return self.node

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Act as the node: fresh database connections, and its name in the audit trail."""
        close_old_connections()
        peer = f"DICOM node {self.node.ae_title}" if self.node else ""
        try:
            with bind_request_context(source_address=self.address, request_id=self.id, peer=peer):
                yield
        finally:
            close_old_connections()

    def receive(self, *, name: str, stream: Rewindable) -> SubmissionFile:
        """Take one object into the submission of this association, which is opened for the first.

        A submission that is full, or that a sweeper closed, is followed by another.
        """
        self.objects += 1
        if self.objects_in_submission >= settings.INTAKE_MAX_FILES:
            self.close()
        try:
            return self._receive_once(name, stream)
        except SubmissionEnded:
            logger.warning("Association %s: its submission was closed; opening another", self.id)
            self.submission = None
            stream.seek(0)
            return self._receive_once(name, stream)

    def _receive_once(self, name: str, stream: Rewindable) -> SubmissionFile:
        if self.submission is None:
            self.submission = open_submission(
                actor=None,
                department=self.caller.department,
                origin=Origin.DIMSE,
                calling_ae_title=self.caller.ae_title,
            )
            self.objects_in_submission = 0
        self.objects_in_submission += 1
        try:
            (verdict,) = receive_file(
                actor=None, submission=self.submission, name=name, stream=stream
            )
        except IntakeFailed:
            self.is_lacking = True
            raise
        return verdict

    def touch(self) -> None:
        """Say that the association lives, so that its submission isn't taken for abandoned."""
        if self.submission is not None:
            touch_submission(submission=self.submission)

    def close(self) -> None:
        """Close the submission, if there is one. Its studies may go on in another association."""
        if self.submission is not None:
            close_submission(
                actor=None,
                submission=self.submission,
                is_whole=False,
                is_lacking=self.is_lacking,
            )
            self.submission, self.is_lacking = None, False

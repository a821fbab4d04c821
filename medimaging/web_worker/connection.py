"""One client's connection: what came of its next request, and how long it may go on as it is."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import TConn

from medimaging.web_worker.channel import Channel
from medimaging.web_worker.incoming import Head, Lane, Parser, find_end, read_head

DRAIN_SECONDS = 1.0
DRAIN_BYTES = 64 * 1024


class State(Enum):
    """What a connection is waiting for."""

    READING = "a request, or the rest of one"
    WAITING = "a thread"
    RUNNING = "its thread"
    SENDING = "its client, to read the answer"
    LEAVING = "its client, to hang up"


class Connection(TConn):
    """A connection as gunicorn's `handle` wants it, on a socket that never blocks."""

    def __init__(self, cfg: Config, channel: Channel, client: Any, server: Any) -> None:
        """Nothing has come yet."""
        super().__init__(cfg, channel, client, server)
        self.initialized = self.data_ready = True
        self.channel = channel
        self.client_key = ""
        self.state = State.READING
        self.watched = 0
        self.begun = self.deadline = 0.0
        self.buffer = bytearray()
        self.discarded = self.handed_over = self.sent = 0
        self.head: Head | None = None
        self.parser: Iterator[Any] = iter(())
        self.keeps = self.is_streaming = self.has_been_served = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a next request has come."""
        return self.state is State.READING and self.head is None and not self.buffer

    @property
    def is_missed_least(self) -> bool:
        """Whether it can end without anybody's noticing: between requests, or after the last."""
        return self.state is State.LEAVING or (self.is_idle and self.has_been_served)

    @property
    def can_be_cut_short(self) -> bool:
        """Whether no thread has to do with it, nor is about to have."""
        return self.state not in (State.WAITING, State.RUNNING)

    @property
    def held_bytes(self) -> int:
        """What it costs in memory."""
        return len(self.buffer) + len(self.channel.outgoing)

    def receive(self) -> bool:
        """Take what has come; False when the client has hung up."""
        data = self.channel.receive_now()
        if data:
            self.buffer += data
        return data != b""

    def read_head(self, *, body_limit: int) -> bool:
        """Read the head if it has come whole; one that can't be read is left to its thread."""
        end = find_end(self.buffer)
        if not end:
            return False
        raw = self.buffer[:end]
        del self.buffer[:end]
        self.channel.begin(may_read=False)
        self.channel.incoming = raw[:]
        try:
            self.head = read_head(self.cfg, self.channel, self.client, body_limit=body_limit)
            self.parser = iter([self.head.request])
        except (ParseException, OSError, StopIteration):
            self.channel.incoming = raw
            self.parser = Parser(self.cfg, self.channel, self.client)
            self.head = Head(None, self.parser, Lane.SMALL, length=0)
        return True

    def is_whole(self) -> bool:
        """Whether the request can have a thread: a stream's body goes on to come there."""
        if self.head is None:
            return False
        is_stream = self.head.lane is Lane.STREAM
        return is_stream or self.head.length is None or len(self.buffer) >= self.head.length

    def hand_over(self) -> None:
        """Give the request's own bytes to the channel; those of a next request stay here."""
        assert self.head is not None  # noqa: S101 - whoever has a thread has a head
        length = self.head.length
        taken = len(self.buffer) if length is None else min(length, len(self.buffer))
        self.channel.incoming += self.buffer[:taken]
        del self.buffer[:taken]
        self.handed_over = len(self.channel.incoming)
        self.channel.may_read = self.head.lane is Lane.STREAM and taken != length
        self.is_streaming = self.head.lane is Lane.STREAM

    def finish_body(self) -> bool:
        """Read what the application left of the body; False where the next request is unknown.

        A file of which it wanted nothing isn't worth a thread any longer.
        """
        assert self.head is not None  # noqa: S101 - as above
        if self.channel.may_read:
            if not self.channel.received and len(self.channel.incoming) == self.handed_over:
                return False
            self.channel.patience = min(self.channel.patience, DRAIN_SECONDS)
        is_read = self.head.parser.finish_body(max_bytes=DRAIN_BYTES)
        return bool(is_read) and not self.channel.is_broken

    def take_back(self) -> None:
        """Have the bytes back that were read beyond the request."""
        if self.head is not None and self.keeps:
            ahead = self.head.parser.unreader.take_buffered()
            self.buffer[:0] = ahead + self.channel.incoming
        self.channel.incoming = bytearray()
        self.head, self.is_streaming = None, False
        self.has_been_served = True

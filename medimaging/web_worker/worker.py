"""gunicorn's threaded worker, with every wait for a client bounded, and most without a thread."""

import errno
import selectors
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.conf import settings
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from accounts.client_addresses import find_client, network_of
from medimaging.web_worker.admission import STATE_THREADS, Admission
from medimaging.web_worker.channel import Channel
from medimaging.web_worker.connection import Connection, State
from medimaging.web_worker.incoming import HEAD_BYTES, Lane, header_of

if TYPE_CHECKING:  # it needs the application, which is loaded after this
    from medimaging.web_worker.refusals import Refusals

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
HEAD_SECONDS = 10
"""For a head to come whole, and for a new connection to say anything at all."""

BODY_SECONDS = 10
BODY_BYTES_PER_SECOND = 1024
"""A small body has so long, and a second more for so many bytes that have come; an answer alike."""

STREAM_QUEUE_SECONDS = 30
LEAVE_SECONDS = 2
LEAVE_BYTES = 4 * 1024 * 1024
HELD_BYTES = 128 * 1024 * 1024
"""So much may wait in memory for clients, in all; beyond it the connections held longest go."""

SWEEP_SECONDS = 0.25
OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
NOTHING_THERE = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED)
HEALTHY = (
    "HTTP/1.1 200 OK\r\nConnection: {connection}\r\nContent-Type: application/json\r\n"
    "Content-Length: 16\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n"
)
HEALTHY_BODY = b'{"status": "ok"}'


class BoundedWorker(ThreadWorker):
    """Reads heads and small bodies in its main loop, sends what slow readers leave from there.

    A thread is given to requests that are whole, or to as many that move files as are allowed.
    Everything else that a client can hold is a socket, for a time and in a number that are bounded.
    """

    refusals: "Refusals"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the limits from the settings."""
        super().__init__(*args, **kwargs)
        self.admission = Admission(
            threads=self.cfg.threads,
            streams=settings.WEB_FILE_THREADS,
            streams_per_client=settings.WEB_FILES_PER_CLIENT,
        )
        # Oldest first: a connection goes to the end whenever it begins to wait anew.
        self.connections: dict[Connection, None] = {}
        self.clients: Counter[str] = Counter()
        self.next_sweep = 0.0

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Return threads for all lanes; admission sees to it that none takes another's."""
        threads = self.cfg.threads + STATE_THREADS + settings.WEB_FILE_THREADS
        return ThreadPoolExecutor(max_workers=threads)

    # Coming and going

    def accept(self, listener: socket.socket) -> None:
        """Take a connection in, for the oldest where there are too many."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS:
                self._make_room()
            elif error.errno not in NOTHING_THERE:
                raise
            return
        channel = Channel(sock, silence=settings.INTAKE_SILENCE_SECONDS)
        conn = Connection(self.cfg, channel, client, listener.getsockname())
        channel.may_stream = partial(self._may_stream, conn)
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        self._expect_request(conn, seconds=HEAD_SECONDS)
        self._react(self._greet, conn)

    def _greet(self, conn: Connection) -> None:
        """Count the connection, unless a proxy of ours will say in each head whose it is."""
        if not settings.TRUSTED_PROXIES:
            self._know_client(conn, forwarded="")

    def _make_room(self, client: str | None = None) -> bool:
        """End the oldest connection, of one client where one is named; first one that rests."""
        candidates = [
            conn
            for conn in self.connections
            if conn.can_be_cut_short and client in (None, conn.client_key)
        ]
        if not candidates:
            return False
        self._drop(next((conn for conn in candidates if conn.is_missed_least), candidates[0]))
        return True

    def _know_client(self, conn: Connection, *, forwarded: str) -> bool:
        """Count the connection for its client; False where that one has too many in hand."""
        peer = conn.client[0] if isinstance(conn.client, tuple) else ""
        address = find_client(forwarded=forwarded, peer=peer, proxies=settings.TRUSTED_PROXIES)
        key = network_of(address)
        if key != conn.client_key:
            self._forget_client(conn)
            is_full = self.clients[key] >= settings.WEB_CONNECTIONS_PER_CLIENT
            if is_full and not self._make_room(key):
                self._refuse(conn, HTTPStatus.TOO_MANY_REQUESTS)
                return False
            conn.client_key = key
            self.clients[key] += 1
        return True

    def _forget_client(self, conn: Connection) -> None:
        if conn.client_key:
            self.clients[conn.client_key] -= 1
            if not self.clients[conn.client_key]:
                del self.clients[conn.client_key]
        conn.client_key = ""

    def _drop(self, conn: Connection) -> None:
        if conn not in self.connections:
            return
        self._watch(conn, 0)
        del self.connections[conn]
        self._forget_client(conn)
        self.admission.forget(conn)
        self.nr_conns -= 1
        conn.close()

    def _leave(self, conn: Connection) -> None:
        """Hang up, but let the client read its answer before what it still sends meets nobody."""
        conn.channel.shutdown(socket.SHUT_WR)
        conn.buffer.clear()
        self._begin(conn, State.LEAVING, seconds=LEAVE_SECONDS)
        self._watch(conn, READ)

    # What a connection waits for, and until when

    def _begin(self, conn: Connection, state: State, *, seconds: float) -> None:
        self.connections.pop(conn, None)
        self.connections[conn] = None
        conn.state, conn.begun = state, time.monotonic()
        conn.deadline = conn.begun + seconds

    def _go_on(self, conn: Connection, *, moved: int) -> None:
        """Let a body or an answer go on for as long as so many bytes are worth, unless silent."""
        too_slow = conn.begun + BODY_SECONDS + moved / BODY_BYTES_PER_SECOND
        conn.deadline = min(too_slow, time.monotonic() + settings.INTAKE_SILENCE_SECONDS)

    def _watch(self, conn: Connection, events: int) -> None:
        """Have the main loop look at the connection for these events, or for none."""
        if events == conn.watched:
            return
        if conn.watched:
            self.poller.unregister(conn.channel)
        if events:
            react = {READ: self._on_readable, WRITE: self._on_writable}[events]
            self.poller.register(conn.channel, events, partial(self._react, react, conn))
        conn.watched = events

    def _react(self, react: Callable[[Connection], None], conn: Connection, *_: Any) -> None:
        """Do what an event asks for; whatever a client does ends its own connection at most."""
        if conn not in self.connections:
            return
        try:
            react(conn)
        except OSError:
            self._drop(conn)
        except Exception:
            self.log.exception("A connection can't be served")
            self._drop(conn)

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT001, FBT002 - as gunicorn has it
        """End what has taken too long, or everything that has no thread; called in each round."""
        now = time.monotonic()
        if now < self.next_sweep and not force:
            return
        self.next_sweep = now + SWEEP_SECONDS
        for conn in list(self.connections):
            if conn.state is not State.RUNNING and (force or conn.deadline <= now):
                self._react(self._drop if force else self._expire, conn)
        while sum(conn.held_bytes for conn in self.connections) > HELD_BYTES:
            heavy = [conn for conn in self.connections if conn.can_be_cut_short]
            heavy = [conn for conn in heavy if conn.held_bytes]
            if not heavy:
                break
            self._drop(heavy[0])

    def _cap_keepalive(self, deadline: float) -> None:
        """Let idle connections go soon: the worker is stopping."""
        for conn in self.connections:
            if conn.is_idle:
                conn.deadline = min(conn.deadline, deadline)

    def _expire(self, conn: Connection) -> None:
        if conn.state is State.WAITING:
            self.admission.forget(conn)
            full = self.admission.is_client_full(conn.client_key)
            self._refuse(
                conn, HTTPStatus.TOO_MANY_REQUESTS if full else HTTPStatus.SERVICE_UNAVAILABLE
            )
        elif conn.state is State.READING and not conn.is_idle:
            self._refuse(conn, HTTPStatus.REQUEST_TIMEOUT)
        else:
            self._drop(conn)

    # Reading

    def _expect_request(self, conn: Connection, *, seconds: float) -> None:
        self._begin(conn, State.READING, seconds=seconds)
        self._watch(conn, READ)

    def _on_readable(self, conn: Connection) -> None:
        was_idle = conn.is_idle
        before = len(conn.buffer)
        if not conn.receive():
            self._drop(conn)
        elif conn.state is State.LEAVING:
            conn.discarded += len(conn.buffer)
            conn.buffer.clear()
            if conn.discarded > LEAVE_BYTES:
                self._drop(conn)
        elif len(conn.buffer) > before:
            if was_idle:
                self._begin(conn, State.READING, seconds=HEAD_SECONDS)
            self._advance(conn)

    def _advance(self, conn: Connection) -> None:
        """Go as far as the bytes that have come allow."""
        if conn.head is None:
            if not conn.read_head(body_limit=settings.WEB_BODY_BYTES):
                if len(conn.buffer) > HEAD_BYTES:
                    self._refuse(conn, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
            if not self._admit(conn):
                return
        assert conn.head is not None  # noqa: S101 - it has just been read
        if conn.is_whole():
            self._watch(conn, 0)
            seconds = STREAM_QUEUE_SECONDS if conn.head.lane is Lane.STREAM else float("inf")
            self._begin(conn, State.WAITING, seconds=seconds)
            self.admission.wait(conn, conn.head.lane)
            self._start_waiting()
        else:
            self._go_on(conn, moved=len(conn.buffer))

    def _admit(self, conn: Connection) -> bool:
        """Judge a head that has just come: False where the request goes no further."""
        assert conn.head is not None  # noqa: S101 - its caller has just read it
        head, request = conn.head, conn.head.request
        if request is None:
            return True
        if settings.TRUSTED_PROXIES:
            forwarded = header_of(request, "X-FORWARDED-FOR")
            if not self._know_client(conn, forwarded=forwarded):
                return False
        if head.refusal is not None:
            self._refuse(conn, head.refusal)
            return False
        if head.lane is Lane.HEALTH:
            self._answer_health(conn)
            return False
        self._begin(conn, State.READING, seconds=BODY_SECONDS)
        if request._expected_100_continue and not conn.is_whole():
            conn.channel.ask_to_continue()
        return True

    # Answering

    def _answer_health(self, conn: Connection) -> None:
        assert conn.head is not None  # noqa: S101 - its caller looked into it
        request = conn.head.request
        conn.keeps = self.alive and not request.should_close()
        head = HEALTHY.format(connection="keep-alive" if conn.keeps else "close")
        body = b"" if request.method == "HEAD" else HEALTHY_BODY
        conn.channel.sendall(head.encode() + body)
        self._after_request(conn)

    def _refuse(self, conn: Connection, status: HTTPStatus) -> None:
        request = conn.head.request if conn.head else None
        method, path = (request.method, request.path) if request else ("", "")
        conn.keeps = False
        reference = uuid.uuid4().hex
        answer = self.refusals.answer(status, reference=reference, method=method, path=path)
        self.log.refused(
            address=conn.client_key,
            method=method,
            status=status,
            code=self.refusals.code_of(status),
            reference=reference,
            sent=len(answer),
        )
        conn.channel.sendall(answer)
        self._after_request(conn)

    def _may_stream(self, conn: Connection) -> bool:
        """Answer a thread that would have to wait for its client."""
        if not conn.is_streaming:
            conn.is_streaming = self.admission.may_stream(conn)
            self.method_queue.defer(self._start_waiting)
        return conn.is_streaming

    def _start_waiting(self) -> None:
        while conn := self.admission.start_next():
            conn.hand_over()
            self._begin(conn, State.RUNNING, seconds=float("inf"))
            self.enqueue_req(conn)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:  # noqa: FBT001 - as gunicorn has it
        """Whether another request can come; runs in the request's thread."""
        return keepalive and conn.finish_body()

    def finish_request(self, conn: Connection, fs: "Future[bool]") -> None:
        """Have the thread back, and see to what is left of the answer."""
        self.admission.leave(conn)
        conn.keeps = not fs.cancelled() and fs.exception() is None and bool(fs.result())
        conn.keeps = conn.keeps and not conn.channel.is_broken
        self._react(self._after_request, conn)
        self._start_waiting()

    def _after_request(self, conn: Connection) -> None:
        conn.take_back()
        if conn.channel.fileno() < 0:
            self._drop(conn)
            return
        self._begin(conn, State.SENDING, seconds=BODY_SECONDS)
        self._on_writable(conn)

    def _on_writable(self, conn: Connection) -> None:
        """Send on; once all is sent, wait for the next request or leave."""
        before = len(conn.channel.outgoing)
        conn.channel.flush()
        conn.sent += before - len(conn.channel.outgoing)
        if conn.channel.outgoing:
            self._go_on(conn, moved=conn.sent)
            self._watch(conn, WRITE)
            return
        conn.sent = 0
        if settings.TRUSTED_PROXIES:
            self._forget_client(conn)
        if not conn.keeps:
            self._leave(conn)
        elif conn.buffer:
            self._watch(conn, 0)
            self._begin(conn, State.READING, seconds=HEAD_SECONDS)
            self.method_queue.defer(self._react, self._advance, conn)
        else:
            idle = self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER
            self._expect_request(conn, seconds=idle)

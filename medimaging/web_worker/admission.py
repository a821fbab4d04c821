"""Which requests have a thread, and which wait for one: files never take those of pages."""

import threading
from collections import Counter, deque

from medimaging.web_worker.connection import Connection
from medimaging.web_worker.incoming import Lane

STATE_THREADS = 4
"""However busy all others are, it can be told why."""


class Admission:
    """Counts the threads in use by lane, and those that move files by client too.

    The lock is for `may_stream`, which threads call; the rest belongs to the worker's main loop.
    """

    def __init__(self, *, threads: int, streams: int, streams_per_client: int) -> None:
        """`threads` for small requests, `streams` for those that move files."""
        self._threads = {Lane.STATE: STATE_THREADS, Lane.SMALL: threads}
        self._streams = streams
        self._streams_per_client = streams_per_client
        self._in_threads: dict[Lane, set[Connection]] = {lane: set() for lane in self._threads}
        self._streaming: dict[Connection, str] = {}
        self._clients: Counter[str] = Counter()
        self._waiting: dict[Lane, deque[Connection]] = {
            lane: deque() for lane in (*self._threads, Lane.STREAM)
        }
        self._lock = threading.Lock()

    def wait(self, conn: Connection, lane: Lane) -> None:
        """Put a request at the end of its queue."""
        self._waiting[lane].append(conn)

    def forget(self, conn: Connection) -> None:
        """Take a connection that ends out of the queues."""
        for queue in self._waiting.values():
            if conn in queue:
                queue.remove(conn)

    def is_client_full(self, client: str) -> bool:
        """Whether this client moves as many files at once as one may."""
        return self._clients[client] >= self._streams_per_client

    def start_next(self) -> Connection | None:
        """Return the next request that can have a thread now."""
        with self._lock:
            for lane, threads in self._threads.items():
                if self._waiting[lane] and len(self._in_threads[lane]) < threads:
                    conn = self._waiting[lane].popleft()
                    self._in_threads[lane].add(conn)
                    return conn
            return self._start_stream()

    def _start_stream(self) -> Connection | None:
        queue = self._waiting[Lane.STREAM]
        if len(self._streaming) >= self._streams:
            return None
        found = next((conn for conn in queue if not self.is_client_full(conn.client_key)), None)
        if found is not None:
            queue.remove(found)
            self._count(found)
        return found

    def may_stream(self, conn: Connection) -> bool:
        """Whether a request may wait for the network: a small one becomes a stream, if it can."""
        with self._lock:
            if conn in self._streaming:
                return True
            if len(self._streaming) >= self._streams or self.is_client_full(conn.client_key):
                return False
            self._leave_thread(conn)
            self._count(conn)
            return True

    def _leave_thread(self, conn: Connection) -> None:
        for in_lane in self._in_threads.values():
            in_lane.discard(conn)

    def _count(self, conn: Connection) -> None:
        self._streaming[conn] = conn.client_key
        self._clients[conn.client_key] += 1

    def leave(self, conn: Connection) -> None:
        """Have the thread back."""
        with self._lock:
            self._leave_thread(conn)
            client = self._streaming.pop(conn, None)
            if client is not None:
                self._clients[client] -= 1
                if not self._clients[client]:
                    del self._clients[client]

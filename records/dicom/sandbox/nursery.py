"""The program that children come from: `python -m records.dicom.sandbox.nursery`.

It loads the decoders once, reads nothing that came from outside, and forks a child whenever
its server process asks. Its standard input is a socket to that process: when that ends, so
does the nursery, and with it every child.
"""

import errno
import gc
import logging
import os
import selectors
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from PIL import Image

from ml.errors import MLError
from records.dicom.errors import FileRejected
from records.dicom.sandbox.jobs import JOBS, read_whole
from records.dicom.sandbox.lockdown import Share, end_with_parent, grown, lock_down
from records.dicom.sandbox.wire import (
    OUT_OF_MEMORY,
    ArrayWriter,
    decode,
    encode,
    receive_message,
    send_message,
)

CODE = Path(__file__).resolve().parents[3]
NEW_CHILD, END_CHILD = "child", "end"
NOTES = 20
NOTE_LENGTH = 300

logger = logging.getLogger("records.dicom.sandbox.nursery")


class Nursery:
    """The children by process id, each with a handle that no other process can come to have."""

    def __init__(self, server: socket.socket) -> None:
        """Serve the process at the other end of `server`."""
        self._server = server
        self._children: dict[int, int] = {}
        # What those died of that ended before anybody asked.
        self._ended: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(server, selectors.EVENT_READ)

    def run(self) -> None:
        """Fork and end children until the server process is gone."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._server:
                    self._ended[key.data] = self._bury(key.data)
                elif not self._obey():
                    return

    def _obey(self) -> bool:
        try:
            message, files = receive_message(self._server)
        except (EOFError, ConnectionError):
            return False
        if message[0] == NEW_CHILD:
            send_message(self._server, self._fork(files[0]))
        else:
            send_message(self._server, self._end(message[1]))
        return True

    def _fork(self, channel: int) -> int:
        """Fork a child; it is handed out only once its end is tied to ours."""
        tied, tie = os.pipe()
        nursery, pid = os.getpid(), os.fork()
        if not pid:
            os.close(tied)
            self._become_child(nursery, channel, tie)
        os.close(channel)
        os.close(tie)
        os.read(tied, 1)
        os.close(tied)
        handle = os.pidfd_open(pid)
        self._ended.pop(pid, None)
        self._children[pid] = handle
        self._selector.register(handle, selectors.EVENT_READ, pid)
        return pid

    def _become_child(self, nursery: int, channel: int, tie: int) -> NoReturn:
        try:
            end_with_parent(nursery)
            os.close(tie)
            self._selector.close()
            for handle in (self._server.detach(), *self._children.values()):
                os.close(handle)
            silence = os.open(os.devnull, os.O_RDWR)
            for standard in range(3):
                os.dup2(silence, standard)
            os.close(silence)
            serve(socket.socket(fileno=channel))
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        finally:
            os._exit(0)

    def _end(self, pid: int) -> int:
        """Kill a child and say what it died of, which may have come earlier.

        A signal, or below zero the status that it ended with by itself.
        """
        if pid not in self._children:
            return self._ended.pop(pid, 0)
        signal.pidfd_send_signal(self._children[pid], signal.SIGKILL)
        return self._bury(pid)

    def _bury(self, pid: int) -> int:
        handle = self._children.pop(pid, None)
        if handle is None:
            return 0
        ended = os.waitid(os.P_PIDFD, handle, os.WEXITED)
        self._selector.unregister(handle)
        os.close(handle)
        if ended is None:
            return 0
        return -ended.si_status if ended.si_code == os.CLD_EXITED else ended.si_status


def serve(channel: socket.socket) -> None:
    """Answer questions until nobody asks any more."""
    share = Share()
    notes = _Notes()
    if missing := lock_down(CODE):
        logger.warning("Files are read without %s, which this machine lacks", " and ".join(missing))
    while True:
        try:
            message, (source, output) = receive_message(channel)
        except (EOFError, ConnectionError):
            return
        share.set(**message["share"])
        try:
            answer = _answer(message, source, output)
        except MemoryError:
            # It ran out anew over naming what had gone wrong; by now most of it is free again.
            answer = {"exhausted": "memory"}
        send_message(channel, {**answer, "grown": grown(), "notes": notes.take()})
        os.close(source)
        os.close(output)


def _answer(message: dict[str, Any], source: int, output: int) -> dict[str, Any]:
    """Known errors go back by code and context; of others the place alone: texts hold names."""
    job = JOBS[message["job"]]
    try:
        question = decode(job.question, message["question"])
        result = job.answer(question, read_whole(source))
        return {"result": encode(result, ArrayWriter(output))}
    except (FileRejected, MLError) as error:
        kind = "refused" if isinstance(error, FileRejected) else "undecodable"
        return {kind: error.code, "context": error.context}
    except MemoryError:
        return {"exhausted": "memory"}
    except BaseException as error:  # noqa: BLE001  (the server process raises and logs it)
        is_too_long = isinstance(error, OSError) and error.errno == errno.EFBIG
        return {"exhausted": "output"} if is_too_long else {"failed": _where(error)}


def _where(error: BaseException) -> str:
    places = [
        f"{Path(place.filename).name}:{place.lineno} {place.name}"
        for place in traceback.extract_tb(error.__traceback__)[-4:]
    ]
    return f"{type(error).__name__} at {', '.join(places)}"


class _Notes(logging.Handler):
    """What was logged while a file was read, for the log of the server process."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: list[tuple[int, str]] = []
        root = logging.getLogger()
        root.addHandler(self)
        root.setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message, and of an exception its place."""
        if len(self._lines) < NOTES and record.name.startswith("records."):
            error = record.exc_info[1] if record.exc_info else None
            text = record.getMessage() + (f": {_where(error)}" if error else "")
            self._lines.append((record.levelno, text[:NOTE_LENGTH]))

    def take(self) -> list[tuple[int, str]]:
        """Return what was kept, and forget it."""
        lines, self._lines = self._lines, []
        return lines


def main() -> None:
    """Load everything that children use, then wait for orders."""
    Image.init()
    gc.collect()
    gc.freeze()
    Nursery(socket.socket(fileno=os.dup(sys.stdin.fileno()))).run()


if __name__ == "__main__":
    main()

"""Several processes on one study: its storage, one door to new trials, and who is still alive.

A worker holds a lock on a file of its own for as long as it lives. The kernel releases it when the
process ends, however it ends, so an interrupted trial is recognised at once and without waiting.
"""

import contextlib
import fcntl
import socket
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

JOURNAL = "study.journal"
WORKERS = "workers"
# What a trial remembers of who runs it.
WORKER = "worker"
SEEN = "seen"
# A worker of another machine, whose lock can't be seen here, is given up after this silence.
SILENCE = timedelta(hours=6)
UNCLAIMED = timedelta(minutes=1)
# How long a writer waits for SQLite, which lets one process write at a time.
SQLITE_SECONDS = 60


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """Where the trials are kept: by default a journal in the study's folder.

    The journal is only ever appended to, under a lock, which makes it safe for many processes of
    one machine; Optuna advises against SQLite there. With a `postgresql+psycopg2://…` URL (any
    that SQLAlchemy knows) workers of several machines share one study.
    """
    if url is None:
        return JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    options: dict[str, Any] = {}
    if url.startswith("sqlite"):
        options["connect_args"] = {"timeout": SQLITE_SECONDS}
        _make_folder(url)
    return RDBStorage(url, engine_kwargs=options)


def _make_folder(url: str) -> None:
    """SQLite makes its file, but no folder for it."""
    _, _, path = url.partition(":///")
    Path(path).parent.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Wait for the lock on that file, and hold it: one process of this machine at a time."""
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


class Worker:
    """This process' part in a study; to be used in a `with` statement, which is how long it lives.

    `name` is the host and the name of the lock file, the two things that others need to tell
    whether it is alive.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / WORKERS
        self._folder.mkdir(parents=True, exist_ok=True)
        self._key = uuid.uuid4().hex[:12]
        self.name = f"{socket.gethostname()}/{self._key}"

    def __enter__(self) -> Self:
        self._stream = (self._folder / self._key).open("w")
        fcntl.flock(self._stream, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        (self._folder / self._key).unlink(missing_ok=True)
        self._stream.close()

    def claim(self, trial: optuna.Trial) -> None:
        """Note in the trial who runs it."""
        trial.set_user_attr(WORKER, self.name)
        note_activity(trial)

    def is_abandoned(self, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether the process that ran a RUNNING trial is gone.

        A trial without a worker's name was taken but not yet claimed, which lasts an instant.
        """
        host, _, key = str(trial.user_attrs.get(WORKER, "")).partition("/")
        path = self._folder / key
        if key and path.exists():
            return _is_free(path)
        if host == socket.gethostname():
            return True
        silence = datetime.now(UTC) - _read_activity(trial)
        return silence > (SILENCE if host else UNCLAIMED)


def note_activity(trial: optuna.Trial) -> None:
    """Sign of life, for the workers of other machines."""
    trial.set_user_attr(SEEN, datetime.now(UTC).isoformat(timespec="seconds"))


def _read_activity(trial: optuna.trial.FrozenTrial) -> datetime:
    if SEEN in trial.user_attrs:
        return datetime.fromisoformat(trial.user_attrs[SEEN])
    # Optuna keeps local time without a zone.
    return trial.datetime_start.astimezone(UTC) if trial.datetime_start else datetime.now(UTC)


def _is_free(path: Path) -> bool:
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True

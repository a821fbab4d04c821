"""How one program is started so that it can never outlive whoever started it."""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Program:
    """One program to keep running. `owner` is the user id to run as, where it isn't ours.

    `directories` are named in `command`, and are the owner's, but lie where it may not get.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    owner: int | None = None
    directories: tuple[Path, ...] = ()


def spawn(program: Program, *, output: int | IO[str]) -> subprocess.Popen[str]:
    """Start `program` in a process group of its own, with its output going to `output`.

    Call it from the main thread: the kernel passes the stop signal on when the thread that
    started the program ends, and so ends it even after our own SIGKILL.
    """
    with opened(program.directories, program.command) as (command, descriptors):
        return subprocess.Popen(  # noqa: S603  (commands are built by this package)
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **program.environment},
            text=True,
            errors="replace",
            bufsize=1,
            start_new_session=True,
            preexec_fn=_end_with_parent(program.stop_signal),
            pass_fds=descriptors,
            **identity(program.owner),
        )


def identity(owner: int | None) -> dict[str, Any]:
    """What `subprocess` takes to run a program as `owner`, with that account's group alone."""
    if owner is None:
        return {}
    group = pwd.getpwuid(owner).pw_gid
    # Where we work it may not be able to look.
    return {"user": owner, "group": group, "extra_groups": [], "cwd": "/"}


@contextlib.contextmanager
def opened(
    directories: Iterable[Path], command: Iterable[str]
) -> Iterator[tuple[list[str], list[int]]]:
    """Yield `command` with the directories named by descriptors, and these to be passed on.

    Who holds an open directory needs no permission on what lies above it. So nothing above has
    to be opened to the account that a program runs as.
    """
    named, descriptors = list(command), []
    with contextlib.ExitStack() as held:
        for directory in directories:
            descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
            held.callback(os.close, descriptor)
            descriptors.append(descriptor)
            place = f"/proc/self/fd/{descriptor}"
            named = [part.replace(str(directory), place) for part in named]
        yield named, descriptors


def _end_with_parent(stop_signal: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def arrange() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(stop_signal))
        if os.getppid() != parent:
            os._exit(1)

    return arrange


def end(process: subprocess.Popen[str], *, stop_signal: signal.Signals, patience_s: float) -> None:
    """Ask a program to stop, then end whatever is left of its process group."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end_leftovers(
    binary: Path, home: Path, *, stop_signal: signal.Signals, patience_s: float = 15
) -> None:
    """End what an earlier, killed run of `binary` has left running in the directory `home`.

    Servers work inside their data directory, which tells ours from everybody else's and
    survives process ids being used again.
    """
    leftovers = [process for process in psutil.process_iter() if _works_in(process, binary, home)]
    for process in leftovers:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(stop_signal)
    _, stubborn = psutil.wait_procs(leftovers, timeout=patience_s)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=patience_s)


def _works_in(process: psutil.Process, binary: Path, home: Path) -> bool:
    try:
        return process.name() == binary.name and Path(process.cwd()) == home
    except (psutil.Error, OSError):
        return False

"""How one program is started so that it can never outlive whoever started it."""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Program:
    """One program to keep running. `owner` is the user id to run as, where it isn't ours."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    owner: int | None = None


def spawn(program: Program, *, output: int | IO[str]) -> subprocess.Popen[str]:
    """Start `program` in a process group of its own, with its output going to `output`.

    Call it from the main thread: the kernel passes the stop signal on when the thread that
    started the program ends, and so ends it even after our own SIGKILL.
    """
    return subprocess.Popen(  # noqa: S603  (commands are built by this package)
        program.command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, **program.environment},
        text=True,
        errors="replace",
        bufsize=1,
        start_new_session=True,
        preexec_fn=_end_with_parent(program.stop_signal),
        **identity(program.owner),
    )


def identity(owner: int | None) -> dict[str, Any]:
    """What `subprocess` takes to run a program as `owner`, with that account's group alone."""
    if owner is None:
        return {}
    return {"user": owner, "group": pwd.getpwuid(owner).pw_gid, "extra_groups": []}


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

"""What a child may not do: take more than its share, start a program, reach a network or a file.

The limits of memory, time, output and open files hold everywhere. The filters of system calls
(seccomp) and of paths (Landlock) need a kernel that has them, and no rights.
"""

import contextlib
import ctypes
import math
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
OPEN_FILES = 32
# Above what one file may take: a child that is asked to read a larger one may be given more.
MEMORY_EVER = 16 * 1024**3
# Code that was mapped before a file came and is touched while it is read.
LIBRARY_BYTES = 4 * 1024**2

# Landlock (linux/landlock.h). The numbers of its calls are the same on every machine.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
EXECUTE, READ_FILE, READ_DIR = 1 << 0, 1 << 2, 1 << 3
EVERY_RIGHT_TO_PATHS = (1 << 13) - 1
PATH_BENEATH = 1

# Calls that start programs, reach other processes or reach a network: (x86-64, AArch64).
DENIED_CALLS = {
    "accept": (43, 202),
    "accept4": (288, 242),
    "add_key": (248, 217),
    "bind": (49, 200),
    "bpf": (321, 280),
    "clone": (56, 220),
    "clone3": (435, 435),
    "connect": (42, 203),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "listen": (50, 201),
    "mount": (165, 40),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "setns": (308, 268),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "tgkill": (234, 131),
    "tkill": (200, 130),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vfork": (58, None),
}
SET_LIMITS = (302, 261)  # prlimit64: of this process, yes; of another, no
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
SECOND_ABI = 0x40000000  # x32: the same calls of x86-64 by other numbers
LOAD, JUMP_IF_EQUAL, JUMP_IF_NOT_LESS, RETURN = 0x20, 0x15, 0x35, 0x06
AT_NUMBER, AT_ARCHITECTURE, AT_FIRST_ARGUMENT = 0, 4, 16
ALLOW, REFUSE = 0x7FFF0000, 0x00050001  # refused calls fail with EPERM

_LIBC = ctypes.CDLL(None, use_errno=True)


def end_with_parent(parent: int) -> None:
    """Have the kernel end this process with its parent, however that one ends."""
    _LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def lock_down(code: Path) -> list[str]:
    """Give up every right that reading images doesn't need, for good.

    Files can be read beneath the interpreter, the system's libraries and our packages in the
    folder `code` alone: not the settings, not the store. What is to be read comes in open.
    Returns the names of the filters that this kernel or processor lacks.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_EVER, MEMORY_EVER))
    _LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    packages = [code / name for name in ("accounts", "ml", "records")]
    system = [Path(name) for name in ("/usr", "/lib", "/lib64")]
    readable = [Path(sys.prefix), Path(sys.base_prefix), *system, *packages]
    in_force = {"Landlock": _allow_reading_beneath(readable), "seccomp": _refuse_calls()}
    return [name for name, is_in_force in in_force.items() if not is_in_force]


class Share:
    """How much memory and time one file may take of this process, set anew for each."""

    def __init__(self) -> None:
        """Measure what the process holds before it has read anything."""
        statm = Path("/proc/self/statm").read_text(encoding="ascii").split()
        page = resource.getpagesize()
        self._mapped, self._resident = int(statm[0]) * page, int(statm[1]) * page

    def set(self, *, memory: int, seconds: float, output: int) -> None:
        """Limit the next file: resident memory, seconds of processor time, bytes written.

        The kernel counts mapped memory, most of which are libraries that are never touched. Those
        parts of them that are come on top.
        """
        mapped = self._mapped + max(memory - self._resident - LIBRARY_BYTES, 0)
        _lower(resource.RLIMIT_AS, mapped)
        used = resource.getrusage(resource.RUSAGE_SELF)
        _lower(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds))
        _lower(resource.RLIMIT_FSIZE, output)


@contextmanager
def time_until(until: float) -> Iterator[None]:
    """Have the kernel end this process at a second of its processor time, for the block's length.

    Its share may be less, and stays. Where nothing is limited, as outside of a child, nothing is.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if soft == resource.RLIM_INFINITY:
        yield
        return
    resource.setrlimit(resource.RLIMIT_CPU, (min(soft, round(until)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def grown() -> int:
    """The most memory, in bytes, that this process has ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _lower(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (limit if hard < 0 else min(limit, hard), hard))


def _allow_reading_beneath(paths: list[Path]) -> bool:
    attributes = struct.pack("=Q", EVERY_RIGHT_TO_PATHS)
    rules = _LIBC.syscall(CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return False
    try:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                _add_rule(rules, path)
        return bool(_LIBC.syscall(RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


def _add_rule(rules: int, path: Path) -> None:
    folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", EXECUTE | READ_FILE | READ_DIR, folder)
        _LIBC.syscall(ADD_RULE, rules, PATH_BENEATH, rule, 0)
    finally:
        os.close(folder)


def _refuse_calls() -> bool:
    known = ARCHITECTURES.get(platform.machine())
    if known is None:
        return False
    program = _filter(*known)
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    return bool(_LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0) == 0)


def _filter(column: int, architecture: int) -> bytes:
    """The filter as the kernel reads it: classic BPF, whose jumps count instructions ahead."""
    numbers = (call[column] for call in DENIED_CALLS.values())
    denied = [number for number in numbers if number is not None]
    checks = [(JUMP_IF_NOT_LESS, SECOND_ABI), *((JUMP_IF_EQUAL, number) for number in denied)]
    count = len(checks)
    program = [
        (LOAD, 0, 0, AT_ARCHITECTURE),
        (JUMP_IF_EQUAL, 0, count + 5, architecture),
        (LOAD, 0, 0, AT_NUMBER),
    ]
    # Behind the checks: three instructions for limits, then ALLOW, then REFUSE.
    program += [(kind, count - index + 3, 0, value) for index, (kind, value) in enumerate(checks)]
    program += [
        (JUMP_IF_EQUAL, 0, 2, SET_LIMITS[column]),
        (LOAD, 0, 0, AT_FIRST_ARGUMENT),
        (JUMP_IF_EQUAL, 0, 1, 0),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)

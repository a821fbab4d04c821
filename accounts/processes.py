"""What this process is called, in the audit trail and wherever processes are told apart."""

import os
import socket
from dataclasses import dataclass


@dataclass
class _Identity:
    role: str = "command"
    pid: int = 0


_identity = _Identity()


def name_process(role: str) -> str:
    """Say what this process is for; those that it forks keep its name. Returns the name."""
    _identity.role, _identity.pid = role, os.getpid()
    return process_name()


def process_name() -> str:
    """`role@host:pid`: no two processes that run at once have the same."""
    return f"{_identity.role}@{socket.gethostname()}:{_identity.pid or os.getpid()}"


def process_role() -> str:
    """What this process is for: worker, background, beat, web, dicom; command if nobody said."""
    return _identity.role

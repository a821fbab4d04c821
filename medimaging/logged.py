"""`python -m medimaging.logged PROGRAM …`: with LOG_FORMAT=json, each line it writes is JSON.

It stays above the program, passes signals on, and ends as the program does: the last words of one
that crashes are read after its end. With another LOG_FORMAT there is nothing but the program.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from medimaging.log_lines import JsonLines, copy_lines, to_stdout
from medimaging.quickstart.programs import Program, spawn

PASSED_ON = tuple(
    signal.Signals[f"SIG{name}"]
    for name in ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "TTIN", "TTOU", "WINCH")
)
LAST_WORDS_S = 2
"""So long the output is read after the program's end: what it started may hold it open."""

COMMAND_NOT_FOUND = 127


def main(command: Sequence[str]) -> int:
    """Run the program and return its exit status; 128 and the signal's number if one ended it."""
    if os.environ.get("LOG_FORMAT") != "json":
        os.execvp(command[0], list(command))  # noqa: S606 - the command is the operator's own
    lines = JsonLines(to_stdout)
    try:
        process = spawn(Program(name=command[0], command=tuple(command)), output=subprocess.PIPE)
    except OSError as error:
        lines.take(f"{command[0]} can't be started: {error}")
        lines.flush()
        return COMMAND_NOT_FOUND
    assert process.stdout is not None  # noqa: S101 - we asked for a pipe

    def pass_on(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    reader = threading.Thread(target=copy_lines, args=(process.stdout.fileno(), lines), daemon=True)
    reader.start()
    status = _wait_for(process.pid)
    reader.join(timeout=LAST_WORDS_S)
    return status if status >= 0 else 128 - status


def _wait_for(pid: int) -> int:
    """Return how the program ended; as process 1 of a container this bears orphans away too."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

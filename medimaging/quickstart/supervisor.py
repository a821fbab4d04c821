"""Keeps a handful of programs running under one process, with one readable log."""

import logging
import logging.handlers
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any

from medimaging.log_lines import JsonLines, copy_lines
from medimaging.quickstart.programs import Program, end, spawn

POLL_S = 0.2
STOP_PATIENCE_S = 10
FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 30.0
# A program that ran this long before it crashed starts again without delay.
STEADY_S = 60.0
LOG_BYTES = 10 * 1024 * 1024
LOG_FILES = 3
OURS = "quickstart"
"""How our own lines are told from those of the programs."""


class StopRequested(Exception):
    """Somebody pressed Ctrl-C or asked this process to end."""


@dataclass
class Child:
    """A running program, and when it may start again if it isn't."""

    program: Program
    process: subprocess.Popen[str]
    reader: threading.Thread
    started_at: float
    backoff_s: float = FIRST_BACKOFF_S
    restart_at: float | None = None


class Supervisor:
    """Starts programs in order, restarts what crashes, and ends all of them in reverse.

    Use it as a context manager: leaving it, for whatever reason, leaves nothing running.
    """

    def __init__(self, *, log_file: Path, echo: bool = True, is_json: bool = False) -> None:
        self.children: list[Child] = []
        self.log_file = log_file
        self.is_json = is_json
        self.journal = _open_journal(log_file, echo=echo)
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Supervisor":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, _request_stop)
        return self

    def __exit__(self, *unused: object) -> None:
        # A second Ctrl-C must not leave half of the programs behind.
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)
        self.stop()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def start(self, program: Program) -> None:
        """Start a program and keep it running."""
        self.children.append(self._launch(program))

    def watch(self) -> None:
        """Restart what crashes until somebody asks to stop."""
        while True:
            self.restart_crashed()
            time.sleep(POLL_S)

    def wait_until(self, condition: Callable[[], bool], *, timeout_s: float) -> bool:
        """Keep the programs running until `condition` holds; False when it never did."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if condition():
                return True
            self.restart_crashed()
            time.sleep(POLL_S)
        return False

    def restart_crashed(self) -> None:
        """Start every program again that has ended, each after a longer pause than before."""
        now = time.monotonic()
        for index, child in enumerate(self.children):
            if child.process.poll() is None:
                continue
            if child.restart_at is None:
                self._schedule_restart(child, now)
            elif now >= child.restart_at:
                again = self._launch(child.program)
                again.backoff_s = min(child.backoff_s * 2, LONGEST_BACKOFF_S)
                self.children[index] = again

    def stop(self) -> None:
        """End every program with everything it has started, the last one first."""
        for child in reversed(self.children):
            end(
                child.process,
                stop_signal=child.program.stop_signal,
                patience_s=STOP_PATIENCE_S,
            )
            child.reader.join(timeout=1)
        self.children.clear()
        for handler in self.journal.handlers:
            handler.close()

    def _schedule_restart(self, child: Child, now: float) -> None:
        if now - child.started_at > STEADY_S:
            child.backoff_s = FIRST_BACKOFF_S
        child.restart_at = now + child.backoff_s
        # What it started must not live on beside its successor.
        end(child.process, stop_signal=child.program.stop_signal, patience_s=0)
        status, pause = child.process.returncode, f"{child.backoff_s:.0f} s"
        self._say(f"{child.program.name} ended with {status}; starting it again in {pause}")

    def _say(self, text: str) -> None:
        """Write a line of our own."""
        if self.is_json:
            lines = JsonLines(self.journal.error, program=OURS)
            lines.take(text)
            lines.flush()
        else:
            self.journal.error("%-10s %s", OURS, text)

    def _launch(self, program: Program) -> Child:
        process = spawn(program, output=subprocess.PIPE)
        assert process.stdout is not None  # noqa: S101  (we asked for a pipe)
        reader = threading.Thread(
            target=self._copy_lines, args=(program.name, process.stdout), daemon=True
        )
        reader.start()
        return Child(program, process, reader, started_at=time.monotonic())

    def _copy_lines(self, name: str, lines: IO[str]) -> None:
        with lines:
            if self.is_json:
                copy_lines(lines.fileno(), JsonLines(self.journal.info, program=name))
                return
            for line in lines:
                self.journal.info("%-10s %s", name, line.rstrip("\n"))


def _request_stop(number: int, frame: FrameType | None) -> None:
    raise StopRequested


def _open_journal(log_file: Path, *, echo: bool) -> logging.Logger:
    """A logger of its own, so that Django's settings don't decorate lines twice."""
    log_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    journal = logging.Logger("medimaging.quickstart.journal")
    journal.addHandler(
        logging.handlers.RotatingFileHandler(
            log_file, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8"
        )
    )
    if echo:
        journal.addHandler(logging.StreamHandler(sys.stdout))
    return journal

"""One at a time among forked processes, however the one whose turn it is ends."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection

from records.turns import Turn


def hold(turn: Turn, said: Connection) -> None:
    with turn.held() as is_mine:
        said.send(is_mine)
        signal.pause()


def test_a_turn_is_one_process_s_and_free_again_when_that_was_killed() -> None:
    turn = Turn("of-this-test")
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(
        target=hold, args=(turn, theirs), daemon=True
    )
    child.start()
    assert ours.recv() is True
    with turn.held() as is_mine:
        assert not is_mine
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    for _ in range(2):
        with turn.held() as is_mine:
            assert is_mine

"""What is done to a running product: processes killed or stopped, the store taken away."""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil

from tests.chaos.stand import Stand
from tests.product import wait_for
from tests.stopped import servers, stopped

Find = Callable[[Stand], list[psutil.Process]]

LONGEST_S = 12.0
"""A worker that is stopped for so long has lost its lease."""
SHORTEST_S = 3.0


@dataclass(frozen=True, slots=True)
class Blow:
    """One kind of thing that happens. `find` gives whom it may hit, None for the store.

    `is_kill` ends whom it hits, else it holds still for seconds. `hits_all` spares none.
    """

    name: str
    find: Find | None
    is_kill: bool = True
    hits_all: bool = False


def deal(stand: Stand, blow: Blow, dice: random.Random) -> bool:
    """Have it happen, and return when it is over; False where nobody lives to be hit."""
    seconds = dice.uniform(SHORTEST_S, LONGEST_S)
    if blow.find is None:
        _take_store_away(stand, seconds)
        return True
    found = blow.find(stand)
    if not found:
        return False
    hit = found if blow.hits_all else [dice.choice(found)]
    if not blow.is_kill:
        with stopped(hit):
            stand.let_pass(seconds)
        return True
    for process in hit:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return True


def in_turn(dice: random.Random) -> Iterator[Blow]:
    """All kinds in a random order, and again in another."""
    while True:
        yield from dice.sample(BLOWS, len(BLOWS))


def _take_store_away(stand: Stand, seconds: float) -> None:
    """As a volume that isn't mounted for a while."""
    aside = stand.images.with_name("images-away")
    stand.images.rename(aside)
    try:
        stand.let_pass(seconds)
    finally:
        # Nothing may have been made in its place.
        assert not stand.images.exists(), [*stand.images.rglob("*")]
        aside.rename(stand.images)


def _parents(*words: str) -> Find:
    """Those that a supervisor started."""

    def find(stand: Stand) -> list[psutil.Process]:
        return [one for one in _like(stand, *words) if not _is_like_its_parent(one)]

    return find


def _children(*words: str) -> Find:
    def find(stand: Stand) -> list[psutil.Process]:
        return [one for one in _like(stand, *words) if _is_like_its_parent(one)]

    return find


def _servers(program: str) -> Find:
    def find(stand: Stand) -> list[psutil.Process]:
        assert stand.product.process is not None
        return servers(program, parent=stand.product.process.pid)

    return find


def _backends(stand: Stand) -> list[psutil.Process]:
    """The processes of PostgreSQL that each serve one connection."""
    return [one for one in _servers("postgres")(stand) if "medimaging_app" in _command(one)]


def _workers(part: Callable[..., Find]) -> Find:
    """Those of both workers."""

    def find(stand: Stand) -> list[psutil.Process]:
        return part("--hostname worker@")(stand) + part("--hostname second@")(stand)

    return find


def _like(stand: Stand, *words: str) -> list[psutil.Process]:
    ours = [psutil.Process(child.process.pid) for child in stand.helpers.children]
    below = [one for each in ours for one in (each, *each.children(recursive=True))]
    helpers = [one for one in below if all(word in _command(one) for word in words)]
    return stand.product.processes(*words) + helpers


def _is_like_its_parent(process: psutil.Process) -> bool:
    """A forked process has the command line of the one that forked it."""
    with suppress(psutil.NoSuchProcess):
        parent = process.parent()
        return parent is not None and _command(parent) == _command(process) != ""
    return False


def _command(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


BLOWS = (
    Blow("worker child killed", _workers(_children)),
    Blow("worker parent killed", _workers(_parents)),
    Blow("worker child stopped", _workers(_children), is_kill=False),
    Blow("background killed", _parents("--hostname background@")),
    Blow("web worker killed", _children("gunicorn", "medimaging.wsgi")),
    Blow("web worker stopped", _children("gunicorn", "medimaging.wsgi"), is_kill=False),
    Blow("gunicorn master killed", _parents("gunicorn", "medimaging.wsgi")),
    Blow("beat killed", _parents("celery", " beat")),
    Blow("DICOM killed", _parents("dicom_scp")),
    Blow("decoding killed", _parents("records.dicom.sandbox.nursery")),
    Blow("Redis killed", _servers("redis-server")),
    Blow("Redis stopped", _servers("redis-server"), is_kill=False),
    Blow("PostgreSQL killed", _servers("postgres"), hits_all=True),
    Blow("PostgreSQL stopped", _servers("postgres"), is_kill=False, hits_all=True),
    Blow("database connection killed", _backends),
    Blow("store away", None),
)


def wait_until_whole(stand: Stand) -> None:
    """Return once every kind of process is there again."""
    needed = [blow for blow in BLOWS if blow.find and blow.is_kill and "decoding" not in blow.name]

    def is_whole() -> bool:
        stand.helpers.restart_crashed()
        return all(blow.find(stand) for blow in needed if blow.find)

    wait_for(is_whole, seconds=90, what="all processes again")

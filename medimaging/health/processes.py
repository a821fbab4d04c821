"""What the processes of the product say of themselves, by their heartbeats in Redis."""

from collections.abc import Collection
from typing import Any

import redis

from accounts.broker import connect
from medimaging.health.parts import REDIS_S, Part, State, probe
from medimaging.heartbeats import CLOCK_TOLERANCE_S, Heartbeat, heartbeats
from medimaging.release import VERSION

CLASSIFYING = "urgent"
"""The queue that every worker listens to whose work is classification."""
BACKGROUND = "housekeeping"
BEAT = "beat"


@probe("workers")
def workers() -> Part:
    """Who classifies."""
    return _part_of(
        "workers",
        lambda said: CLASSIFYING in said.queues,
        missing="No worker classifies: studies are stored, and wait.",
        present="{living} {process} {classify}.",
    )


@probe("background")
def background() -> Part:
    """Who sweeps, scrubs, sends mail and prepares copies."""
    return _part_of(
        "background",
        lambda said: BACKGROUND in said.queues,
        missing="No worker does the housekeeping: broken uploads aren't closed, studies that came "
        "by DICOM aren't completed, and no mail is sent.",
        present="{living} {process} {do} the housekeeping.",
    )


@probe("beat")
def beat() -> Part:
    """The clock that rings for the housekeeping."""
    return _part_of(
        "beat",
        lambda said: said.role == BEAT,
        missing="Nobody rings for the housekeeping: broken uploads aren't closed, studies that "
        "came by DICOM aren't completed, and lost bells aren't rung again.",
        present="The clock of the housekeeping runs.",
    )


@probe("clocks")
def clocks() -> Part:
    """Whether the clocks of all processes agree."""
    said = _said()
    if said is None:
        return _unknown("clocks")
    off = [one for one in said if not one.is_silent and one.is_clock_off]
    furthest = max((abs(one.clock_offset_s) for one in said), default=0.0)
    facts = {"furthest_off_s": furthest, "tolerance_s": CLOCK_TOLERANCE_S}
    if off:
        hosts = ", ".join(sorted({one.host for one in off}))
        return Part(
            "clocks",
            State.DEGRADED,
            "clock_off",
            f"The clock of {hosts} is up to {furthest:.0f} s off: times in records can't be "
            "compared.",
            "Have that machine set its clock by NTP.",
            facts,
        )
    return Part("clocks", State.OK, "ok", "The clocks of all processes agree.", facts=facts)


@probe("release")
def release() -> Part:
    """Whether all processes run the release that answers here."""
    said = _said()
    if said is None:
        return _unknown("release")
    others = sorted({one.version for one in said if not one.is_silent} - {VERSION})
    facts = {"version": VERSION, "others": others}
    if others:
        return Part(
            "release",
            State.DEGRADED,
            "release_mixed",
            f"Release {VERSION} answers here, and other processes run {', '.join(others)}.",
            "That is right while an upgrade goes on; else start all processes again.",
            facts,
        )
    return Part("release", State.OK, "ok", f"Release {VERSION} runs.", facts=facts)


def _part_of(name: str, is_meant: Any, *, missing: str, present: str) -> Part:
    said = _said()
    if said is None:
        return _unknown(name)
    meant = [one for one in said if is_meant(one)]
    living = [one for one in meant if not one.is_silent]
    facts = {"processes": [_facts_of(one) for one in meant]}
    if not living:
        code = f"{name}_missing" if not meant else f"{name}_silent"
        action = "Look whether it runs, and into its log; it goes on by itself once it is started."
        return Part(name, State.DEGRADED, code, missing, action, facts)
    silent = [one.name for one in meant if one.is_silent]
    if silent:
        return Part(
            name,
            State.DEGRADED,
            f"{name}_silent",
            f"{', '.join(silent)} has said nothing for a while; {len(living)} still work.",
            "It ends and is started again by itself; if it stays silent, end it.",
            facts,
        )
    words = _words(len(living))
    return Part(name, State.OK, "ok", present.format(living=len(living), **words), facts=facts)


def _words(count: int) -> dict[str, str]:
    if count == 1:
        return {"process": "process", "classify": "classifies", "do": "does"}
    return {"process": "processes", "classify": "classify", "do": "do"}


def _facts_of(said: Heartbeat) -> dict[str, Any]:
    return {
        "name": said.name,
        "version": said.version,
        "age_s": round(said.age_s, 1),
        "rss_bytes": said.rss_bytes,
        "clock_offset_s": said.clock_offset_s,
        "doing": said.doing,
    }


def _said() -> Collection[Heartbeat] | None:
    """The heartbeats; None while Redis, which keeps them, is away."""
    try:
        with connect(timeout_s=REDIS_S) as client:
            client.ping()  # one that says nothing is found out before the heartbeats are asked for
        return heartbeats()
    except redis.RedisError:
        return None


def _unknown(name: str) -> Part:
    return Part(
        name,
        State.UNKNOWN,
        "redis_unavailable",
        "This can't be told while Redis is away.",
        "Look at Redis first.",
    )

"""Names of parts, and what was measured of them, as people read it."""

from collections.abc import Callable, Mapping
from typing import Any

from django.template.defaultfilters import filesizeformat

from medimaging.health.parts import Part

TITLES = {
    "database": "Database",
    "migrations": "Database schema",
    "redis": "Redis",
    "store": "Image store",
    "room": "Room for images",
    "ages": "Age of database and store",
    "workers": "Classification",
    "background": "Housekeeping",
    "beat": "Clock of the housekeeping",
    "clocks": "Clocks",
    "release": "Release",
    "queue": "Queue",
    "failures": "Failures",
    "models": "Models",
    "mail": "Mail",
    "exports": "De-identified copies",
}


def title_of(part: Part) -> str:
    """What people call a part."""
    return TITLES.get(part.name) or part.name.replace("_", " ").capitalize()


def details_of(part: Part) -> list[str]:
    """One line for each thing that was measured and that its sentence doesn't say."""
    tell = DETAILS.get(part.name)
    return tell(part.facts) if tell and part.facts else []


def _processes(facts: Mapping[str, Any]) -> list[str]:
    return [
        f"{one['name']}, release {one['version']}, {filesizeformat(one['rss_bytes'])}, "
        f"heard {one['age_s']:.0f} s ago"
        for one in facts["processes"]
    ]


def _room(facts: Mapping[str, Any]) -> list[str]:
    free, total = filesizeformat(facts["free_bytes"]), filesizeformat(facts["total_bytes"])
    return [f"{free} of {total} free; taken in while {filesizeformat(facts['least_bytes'])} are"]


def _queue(facts: Mapping[str, Any]) -> list[str]:
    return [
        f"{priority.capitalize()}: {found['waiting']}, the oldest for {found['oldest_s']} s"
        for priority, found in sorted(facts["waiting"].items(), reverse=True)
    ]


def _failures(facts: Mapping[str, Any]) -> list[str]:
    return [f"{code}: {count}" for code, count in sorted(facts["by_code"].items())]


DETAILS: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "workers": _processes,
    "background": _processes,
    "beat": _processes,
    "room": _room,
    "queue": _queue,
    "failures": _failures,
}

"""The tasks that a site's bundles bring: read from their manifests when a process starts.

The tasks in `classifier.choices.Task` ship with the product. Any other becomes known by a bundle
of it under `BUNDLE_DIR`, or by one that was registered and is kept. What its manifest says of its
scope decides which studies it is for.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

TASK_NAME = re.compile("[a-z][a-z0-9-]{0,19}")
"""What fits the column, an address and a folder."""
RESERVED = ("unrouted", "none")
"""Words that stand for no task in rows and figures."""
TITLE_MAXIMUM = 60


@dataclass(frozen=True, slots=True)
class SiteTask:
    """A task and the studies that it is for: one of `modalities` with one of `body_parts`."""

    name: str
    title: str
    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]


def why_unroutable(name: str, scope: dict[str, Any]) -> str:
    """Why no study could ever reach a task of that name and scope; empty where one can."""
    if not TASK_NAME.fullmatch(name) or name in RESERVED:
        return (
            f"a task can't be called {name[:40]}: up to 20 small letters, digits and hyphens can."
        )
    missing = [entry for entry in ("modalities", "body_parts") if not scope.get(entry)]
    if missing:
        return f"its scope names no {' and no '.join(missing)}, so no study would reach it."
    return ""


def read_site_tasks(shipped: Collection[str]) -> tuple[SiteTask, ...]:
    """The tasks of the bundles here beyond those that ship, by name; of each the newest manifest.

    What can't be read, and what no study could reach, is left out: registering says why.
    """
    newest: dict[str, tuple[str, SiteTask]] = {}
    for path in _find_manifests():
        found = _read(path)
        if found and found[1].name not in shipped:
            name = found[1].name
            newest[name] = max(newest.get(name, found), found, key=lambda one: one[0])
    return tuple(newest[name][1] for name in sorted(newest))


def _find_manifests() -> Iterator[Path]:
    yield from Path(settings.BUNDLE_DIR).glob("*/*/manifest.json")
    yield from Path(settings.BUNDLE_STORE_DIR).glob("*/manifest.json")


def _read(path: Path) -> tuple[str, SiteTask] | None:
    """When a bundle was made and what its task is; None for no such thing."""
    try:
        manifest = json.loads(path.read_bytes())
        name, scope = str(manifest["task"]), dict(manifest["scope"])
        if why_unroutable(name, scope):
            return None
        task = SiteTask(
            name=name,
            title=str(manifest["title"])[:TITLE_MAXIMUM],
            modalities=tuple(map(str, scope["modalities"])),
            body_parts=tuple(map(str, scope["body_parts"])),
        )
        return str(manifest["created"]), task
    except (OSError, ValueError, TypeError, KeyError):
        return None

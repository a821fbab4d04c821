"""Which tasks there are: those that ship, by their task files, and those that bundles here bring.

A task file and a manifest say it in the same entries: `task`, `title`, `scope` and `routing`. All
are read once, when a process starts. No bundle changes what is known of a task that ships.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from classifier.choices import ROUTER_TASK
from classifier.header_words import compile_words
from records.models.imaging import OPEN_MODALITIES

TASK_NAME = re.compile("[a-z][a-z0-9-]{0,19}")
"""What fits the column, an address and a folder."""
RESERVED = ("unrouted", "none")
"""Words that stand for no task in rows and figures."""
TITLE_MAXIMUM = 60


@dataclass(frozen=True, slots=True)
class Task:
    """A question that a network answers, and the series that raise it.

    A header names the task by one of `modalities` beside one of `words`, or by one of `sufficient`
    modalities alone. `stated` is the modality and body part that stand for it when a person names
    it. A series that names one of `yields_to` as well raises that alone. `router_label` is what
    the body-part model calls its images, empty where that doesn't know them; `image_names` are
    what staff call images, by the label of that model.
    """

    name: str
    title: str
    modalities: frozenset[str]
    words: re.Pattern[str]
    sufficient: frozenset[str]
    stated: tuple[str, str]
    yields_to: frozenset[str] = frozenset()
    router_label: str = ""
    image_names: Mapping[str, str] = field(default_factory=dict)

    def is_named_by(self, modality: str, words: str) -> bool:
        """Tell whether a header with this modality and these words means the task."""
        if modality in self.sufficient:
            return True
        return modality in self.modalities and bool(self.words.search(words))

    def reads(self, modality: str) -> bool:
        """Tell whether an image made by this modality may be for the task."""
        return modality in self.modalities | self.sufficient


def read_task(table: Mapping[str, Any]) -> Task:
    """The task of a task file or a manifest.

    What `routing` doesn't say follows from the scope. A modality that says nothing of the image
    (OT, SC) may come to the model, but names no task. Raises ValueError where no study could ever
    reach it.
    """
    name, scope, routing = str(table["task"]), table["scope"], table.get("routing") or {}
    if not TASK_NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(
            f"a task can't be called {name[:40]}: up to 20 small letters, digits and hyphens can."
        )
    accepted = _texts(scope, "modalities")
    speaking = [one for one in accepted if one not in OPEN_MODALITIES] or accepted
    modalities = _texts(routing, "modalities") or speaking
    words = _texts(routing, "words") or _texts(scope, "body_parts")
    missing = [one for one, has in (("modalities", modalities), ("body_parts", words)) if not has]
    if missing and name != ROUTER_TASK:
        raise ValueError(
            f"its scope names no {' and no '.join(missing)}, so no study would reach it."
        )
    task = Task(
        name=name,
        title=str(table.get("title") or name.replace("-", " ").capitalize())[:TITLE_MAXIMUM],
        modalities=frozenset(modalities),
        words=compile_words(words, _texts(routing, "word_exceptions")),
        sufficient=frozenset(_texts(routing, "sufficient_modalities")),
        stated=_read_stated(routing, modalities, words),
        yields_to=frozenset(_texts(routing, "yields_to")),
        router_label=str(routing.get("router_label") or ""),
        image_names=_read_image_names(routing),
    )
    if name != ROUTER_TASK and not task.is_named_by(*task.stated):
        raise ValueError(f"what is stated for it, {' '.join(task.stated)}, doesn't name it.")
    return task


def _texts(table: Mapping[str, Any], entry: str) -> list[str]:
    """The texts of a list; an empty one, or one of stars alone, would be found in any words."""
    return [str(one) for one in table.get(entry) or () if str(one).strip("* ")]


def _read_stated(
    routing: Mapping[str, Any], modalities: list[str], words: list[str]
) -> tuple[str, str]:
    given = _texts(routing, "stated") or [*modalities[:1], *words[:1]]
    modality, body_part = given if len(given) == 2 else ("", "")  # noqa: PLR2004 - a pair
    return modality, body_part.strip("*").upper()


def _read_image_names(routing: Mapping[str, Any]) -> dict[str, str]:
    others = {str(one): str(name) for one, name in (routing.get("other_images") or {}).items()}
    label, name = routing.get("router_label"), routing.get("image_name")
    return {**others, str(label): str(name)} if label and name else others


def why_unroutable(table: Mapping[str, Any]) -> str:
    """Why no study could ever reach the task of a manifest; empty where one can."""
    try:
        read_task(table)
    except ValueError as error:
        return str(error)
    return ""


def read_shipped_tasks() -> dict[str, Task]:
    """The tasks that ship, by name."""
    paths = sorted(Path(settings.TASK_FILES_DIR).glob("*.toml"))
    tasks = (read_task(tomllib.loads(path.read_text("utf-8"))) for path in paths)
    return {task.name: task for task in tasks}


def read_brought_tasks(shipped: Mapping[str, Task]) -> dict[str, Task]:
    """The tasks of the bundles here beyond those that ship, by name; of each the newest manifest.

    What can't be read, and what no study could reach, is left out: registering says why.
    """
    newest: dict[str, tuple[str, Task]] = {}
    for path in _find_manifests(shipped):
        found = _read_manifest(path)
        if found and found[1].name not in shipped:
            name = found[1].name
            newest[name] = max(newest.get(name, found), found, key=lambda one: one[0])
    return {name: task for name, (_, task) in newest.items()}


def _find_manifests(shipped: Mapping[str, Task]) -> Iterator[Path]:
    """Those that may be of other tasks: under `BUNDLE_DIR` a folder has its task's name."""
    for path in Path(settings.BUNDLE_DIR).glob("*/*/manifest.json"):
        if path.parent.parent.name not in shipped:
            yield path
    yield from Path(settings.BUNDLE_STORE_DIR).glob("*/manifest.json")


def _read_manifest(path: Path) -> tuple[str, Task] | None:
    """When a bundle was made and what its task is; None for no such thing."""
    try:
        manifest = json.loads(path.read_bytes())
        return str(manifest["created"]), read_task(manifest)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


SHIPPED_TASKS = read_shipped_tasks()
TASKS = {
    task.name: task
    for task in sorted(
        {**SHIPPED_TASKS, **read_brought_tasks(SHIPPED_TASKS)}.values(),
        key=lambda task: (task.name == ROUTER_TASK, task.title.casefold(), task.name),
    )
}
"""Every task by its name, in the order of titles, the body-part model last. A process knows those
that were there when it started."""

TASK_TITLES = {task.name: task.title for task in TASKS.values()}
TASK_CHOICES = tuple(TASK_TITLES.items())

STUDY_TASKS = tuple(task for task in TASKS.values() if task.name != ROUTER_TASK)
"""The tasks that classify a study. The body-part model stands in front of them: it says which
of them an image is for, and never has a classification of its own."""
STUDY_TASK_CHOICES = tuple((task.name, task.title) for task in STUDY_TASKS)

_SHIPPED_LAST = sorted(TASKS.values(), key=lambda task: task.name in SHIPPED_TASKS)
ROUTER_LABELS = {
    task.name: task.router_label for task in reversed(_SHIPPED_LAST) if task.router_label
}
"""What the body-part model calls the images of each task that it knows. Those that ship come first:
they read what no header names."""
IMAGE_NAMES = {label: name for task in _SHIPPED_LAST for label, name in task.image_names.items()}
"""What staff call an image, by the label of the body-part model."""

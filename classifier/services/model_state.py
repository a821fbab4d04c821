"""What of the models in use isn't as it should be, and which bundles need be kept no longer."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from classifier.inference import (
    is_present,
    kept_digests,
    order_of,
    remove_bundle,
    remove_unfinished,
    shipped_digests,
)
from classifier.models import Deployment, ModelVersion
from classifier.task_registry import TASK_TITLES
from records.files.stores.locks import own_content

FORMER_KEPT = 2
"""How many versions that answered a task before the one in use are kept for the way back."""
SWEEP_LIMIT = 20
"""Bundles removed in one sweep."""


@dataclass(frozen=True)
class ModelState:
    """The versions in use whose files aren't here, and the newer ones that wait."""

    missing: list[ModelVersion]
    waiting: "list[WaitingVersion]"


@dataclass(frozen=True)
class WaitingVersion:
    """A newer version that answers nothing yet, and the one in use, if its files are here."""

    version: ModelVersion
    live: ModelVersion
    is_live_here: bool

    @property
    def sentence(self) -> str:
        """Which waits, and whether another answers meanwhile."""
        meanwhile = "answers" if self.is_live_here else "is in use and missing"
        return f"{self.version} waits: {self.live.version} {meanwhile}."


def find_model_state() -> ModelState:
    """What isn't as it should be: asked of the database and of the store of bundles once.

    Missing are versions in use whose files aren't here: what they would answer waits. Waiting is
    each task's newest signed version that was never in use, if it is newer than what is. One that
    somebody put into use and went back from doesn't wait: that was a decision.
    """
    by_task = _versions_by_task()
    in_use = [one for versions in by_task.values() for one in versions if one.live_id == one.pk]
    missing = [one for one in in_use if not is_present(one.digest)]
    waiting = [entry for versions in by_task.values() for entry in _waiting_among(versions)]
    return ModelState(missing, waiting)


def _waiting_among(versions: list[Any]) -> list[WaitingVersion]:
    live = next((one for one in versions if one.live_id == one.pk), None)
    unused = [one for one in versions if one.signed_by and not one.was_in_use]
    newest = max(unused, key=order_of, default=None)
    if live is None or newest is None or order_of(newest) < order_of(live):
        return []
    if not is_present(newest.digest):
        return []
    return [WaitingVersion(newest, live, is_present(live.digest))]


def announcements() -> list[str]:
    """One line for each model that is missing or waits, with its code first."""
    state = find_model_state()
    missing = [
        f"model_missing: {version} is in use and its files are nowhere here; studies wait. "
        "Put another version into use on the page Models, or restore this one."
        for version in state.missing
    ]
    waiting = [
        f"model_waiting: {entry.sentence} Put it into use on the page Models."
        for entry in state.waiting
    ]
    return missing + waiting


def sweep_bundles() -> int:
    """Remove kept bundles that nothing needs any more, and unfinished copies; returns how many.

    Needed are those that ship, those in use, the last two before them, and each task's newest.
    """
    removed = remove_unfinished()
    for digest in sorted(set(kept_digests()) - needed_digests())[:SWEEP_LIMIT]:
        removed += _remove_unneeded(digest)
    return removed


def needed_digests() -> set[str]:
    """The digests of the bundles that have to stay."""
    needed = shipped_digests()
    for task, versions in _versions_by_task().items():
        newest = max(versions, key=order_of, default=None)
        needed |= {newest.digest} if newest else set()
        needed |= set(_last_deployed(task))
    return needed


@transaction.atomic
def _remove_unneeded(digest: str) -> int:
    """Whoever registers or deploys holds the bundle's lock, and so its row is seen here."""
    if not own_content(digest) or digest in needed_digests():
        return 0
    remove_bundle(digest)
    return 1


def _last_deployed(task: str) -> list[str]:
    deployed = Deployment.objects.filter(task=task, model_version__isnull=False)
    digests = deployed.order_by("-id").values_list("model_version__digest", flat=True)
    return list(dict.fromkeys(digests[:200]))[: FORMER_KEPT + 1]


def _versions_by_task() -> dict[str, list[Any]]:
    """All of them but for their manifests, with `live_id` and `was_in_use`."""
    deployed = Deployment.objects.filter(model_version=OuterRef("pk"))
    versions = ModelVersion.objects.with_live().annotate(was_in_use=Exists(deployed))
    found: dict[str, list[Any]] = {task: [] for task in TASK_TITLES}
    for version in versions.defer("manifest", "model_card"):
        found.setdefault(version.task, []).append(version)
    return found

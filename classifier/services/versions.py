"""Which networks the product knows, and which of them are live."""

from pathlib import Path
from typing import NamedTuple

from django.db import transaction

from accounts.audit import record_event
from accounts.errors import KnownError
from accounts.models import User
from classifier.choices import Action
from classifier.comparisons import VersionComparison, compare_versions
from classifier.errors import (
    BundleDirMissing,
    BundleNotKept,
    BundleRefused,
    BundleUntrusted,
    DeploymentReasonRequired,
    ModelMissing,
    VersionNotDeployable,
)
from classifier.inference import (
    BundleDescription,
    answers_alike,
    describe_bundle,
    find_bundle_paths,
    is_trusted,
    keep,
    keep_registered,
    order_of,
)
from classifier.models import Deployment, ModelVersion
from classifier.models.waits import MODEL_WAITS
from classifier.services.runs import ring_waiting
from records.files.stores.locks import hold_contents
from records.services.reasons import clean_reason


class LeftOut(NamedTuple):
    """A version that `--deploy` did not put into use, and why, as a clause."""

    version: ModelVersion
    why: str


class Registered(NamedTuple):
    """What became of the bundles in a place; `carried` are those that took a task over.

    `left_out` are those that were to be put into use if that needs nobody's decision, and weren't.
    """

    versions: list[ModelVersion]
    refusals: list[KnownError]
    carried: list[ModelVersion]
    left_out: list[LeftOut]


def register_bundles(*, actor: User | None, root: Path, deploy: bool) -> Registered:
    """Register every sound bundle under `root` that is not known yet, keep it, name the others.

    With `deploy`, the newest trusted one of a task that never had a version in use is put into
    use, and one that answers like the version in use takes over from it. One damaged bundle does
    not keep the others from working. Raises BundleDirMissing and TrustedKeysInvalid.
    """
    paths = _find_bundles(root)
    versions: list[ModelVersion] = []
    refusals: list[KnownError] = []
    for path in paths:
        try:
            versions.append(_register(actor=actor, description=describe_bundle(path)))
        except (BundleRefused, BundleNotKept) as refusal:
            refusals.append(refusal)
    carried, left_out = [], []
    for version in sorted(versions, key=order_of, reverse=True) if deploy else []:
        try:
            taken = _deploy_by_itself(actor=actor, version=version)
        except (BundleNotKept, ModelMissing) as refusal:
            refusals.append(refusal)
            continue
        if taken.is_carried:
            carried.append(version)
        if taken.why_not:
            left_out.append(LeftOut(version, taken.why_not))
    return Registered(versions, refusals, carried, left_out)


def _find_bundles(root: Path) -> list[Path]:
    if not root.is_dir():
        raise BundleDirMissing(reason=f"there is no folder {root}.")
    paths = find_bundle_paths(root)
    if not paths:
        raise BundleDirMissing(reason=f"there is none in {root}.")
    return paths


class _Taken(NamedTuple):
    """What came of a version: whether it took over, or why it stays out of use."""

    is_carried: bool = False
    why_not: str = ""


@transaction.atomic
def _deploy_by_itself(*, actor: User | None, version: ModelVersion) -> _Taken:
    """Put a version into use where that needs nobody's decision.

    A version that was in use before doesn't come back by itself: somebody decided against it.
    """
    _own_task(version.task)
    if not is_trusted(version):
        return _Taken(why_not="it is not signed by a key that this site trusts")
    if not Deployment.objects.filter(task=version.task).exists():
        _put_into_use(actor=actor, version=version, previous=None)
        return _Taken()
    live = Deployment.objects.live_version(version.task)
    if live == version:
        return _Taken()
    if live is None or (why_not := _why_not(version, live)):
        return _Taken(why_not="the task was taken out of use" if live is None else why_not)
    _put_into_use(
        actor=actor,
        version=version,
        previous=live,
        action=Action.MODEL_CARRIED_OVER,
        reason="same network, input, thresholds and limits",
    )
    return _Taken(is_carried=True)


def _why_not(version: ModelVersion, live: ModelVersion) -> str:
    """Why a version doesn't take over from the one in use by itself; empty where it may."""
    if order_of(version) < order_of(live):
        return f"{live.version} is in use and newer"
    if Deployment.objects.filter(task=version.task, model_version=version).exists():
        return f"{live.version} is in use, and somebody decided against this one"
    if not answers_alike(live.manifest, version.manifest):
        return f"{live.version} is in use, and its answers may differ: a person decides"
    return ""


@transaction.atomic
def deploy_version(*, actor: User | None, version: ModelVersion, reason: str = "") -> Deployment:
    """Let `version` answer its task from now on, and what waited for a model be tried at once.

    One that falls short of the version in use (fewer labels, worse figures) needs a reason. Raises
    BundleUntrusted, TrustedKeysInvalid, VersionNotDeployable, DeploymentReasonRequired,
    ReasonTooLong, ModelMissing and BundleNotKept.
    """
    _own_task(version.task)
    if not is_trusted(version):
        raise BundleUntrusted(version=str(version))
    current = Deployment.objects.live_version(version.task)
    if current == version:
        raise VersionNotDeployable(version=str(version))
    reason = clean_reason(reason) if reason.strip() else ""
    if current is not None and not reason:
        _check_shortfalls(compare_versions(version, current))
    return _put_into_use(actor=actor, version=version, previous=current, reason=reason)


def _check_shortfalls(comparison: VersionComparison) -> None:
    if comparison.falls_short:
        raise DeploymentReasonRequired(
            version=str(comparison.version),
            live=comparison.live.version,
            shortfalls=comparison.shortfalls,
        )


@transaction.atomic
def withdraw_task(*, actor: User | None, task: str) -> Deployment:
    """Take a task out of use at once: studies then abstain with that reason."""
    _own_task(task)
    current = Deployment.objects.live_version(task)
    if current is None:
        raise VersionNotDeployable(version="No version")
    deployment = _append(actor=actor, task=task, version=None, previous=current)
    ring_waiting(codes=MODEL_WAITS)
    return deployment


def _own_task(task: str) -> None:
    """Have whoever else would change what answers `task` wait for the end of the transaction."""
    versions = ModelVersion.objects.filter(task=task).order_by("pk")
    list(versions.select_for_update().values_list("pk"))


def _put_into_use(
    *,
    actor: User | None,
    version: ModelVersion,
    previous: ModelVersion | None,
    action: Action = Action.MODEL_DEPLOYED,
    reason: str = "",
) -> Deployment:
    hold_contents([version.digest])
    keep_registered(version)
    deployment = _append(
        actor=actor,
        task=version.task,
        version=version,
        previous=previous,
        action=action,
        reason=reason,
    )
    ring_waiting(codes=MODEL_WAITS)
    return deployment


def _append(
    *,
    actor: User | None,
    task: str,
    version: ModelVersion | None,
    previous: ModelVersion | None,
    action: Action = Action.MODEL_DEPLOYED,
    reason: str = "",
) -> Deployment:
    deployment = Deployment.objects.create(
        task=task, model_version=version, deployed_by=actor, reason=reason
    )
    record_event(
        action=action,
        actor=actor,
        target=version or previous,
        details={
            "task": task,
            "version": version.version if version else None,
            "model_digest": version.digest if version else None,
            "previous_digest": previous.digest if previous else None,
            **({"reason": reason} if reason else {}),
        },
    )
    return deployment


@transaction.atomic
def _register(*, actor: User | None, description: BundleDescription) -> ModelVersion:
    """Keep a bundle, then write its row; raises BundleNotKept."""
    hold_contents([description.digest])
    name = f"{description.task} {description.version}"
    keep(description.path, description.digest, name=name)
    version, created = ModelVersion.objects.get_or_create(
        digest=description.digest,
        defaults={
            "task": description.task,
            "version": description.version,
            "stage": description.stage,
            "signed_by": description.signed_by,
            "manifest": description.manifest,
            "model_card": description.model_card,
        },
    )
    if created:
        record_event(
            action=Action.MODEL_REGISTERED,
            actor=actor,
            target=version,
            details=_describe(version),
        )
        return version
    if Deployment.objects.live_version(version.task) == version:
        ring_waiting(codes=MODEL_WAITS)
    return _renew_signature(actor=actor, version=version, description=description)


def _renew_signature(
    *, actor: User | None, version: ModelVersion, description: BundleDescription
) -> ModelVersion:
    """Note a signature that came or went since: the digest is the same with it and without."""
    version = ModelVersion.objects.select_for_update().get(pk=version.pk)
    found = {"stage": description.stage, "signed_by": description.signed_by}
    before = {name: getattr(version, name) for name in found}
    if found == before:
        return version
    version.stage, version.signed_by = description.stage, description.signed_by
    version.save(update_fields=list(found))
    record_event(
        action=Action.MODEL_SIGNATURE_CHANGED,
        actor=actor,
        target=version,
        details={**_describe(version), "before": before},
    )
    return version


def _describe(version: ModelVersion) -> dict[str, str]:
    names = ("task", "version", "digest", "stage", "signed_by")
    return {name: getattr(version, name) for name in names}

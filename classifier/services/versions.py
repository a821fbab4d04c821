"""Which networks the product knows, and which of them are live."""

from pathlib import Path

from django.db import transaction

from accounts.audit import record_event
from accounts.models import Action, User
from classifier.errors import BundleRefused, BundleUntrusted, VersionNotDeployable
from classifier.inference import (
    BundleDescription,
    describe_bundle,
    find_bundle_paths,
    is_trusted,
)
from classifier.models import Deployment, ModelVersion


def register_bundles(
    *, actor: User | None, root: Path, deploy: bool
) -> tuple[list[ModelVersion], list[BundleRefused]]:
    """Register every sound bundle under `root` that is not known yet, and name the others.

    With `deploy`, the newest trusted one of a task that never had a version in use is put into
    use. One damaged bundle does not keep the others from working. Raises TrustedKeysInvalid.
    """
    versions, refusals = [], []
    for path in find_bundle_paths(root):
        try:
            versions.append(_register(actor=actor, description=describe_bundle(path)))
        except BundleRefused as refusal:
            refusals.append(refusal)
    if deploy:
        for version in reversed(versions):
            is_first = not Deployment.objects.filter(task=version.task).exists()
            if is_first and is_trusted(version):
                deploy_version(actor=actor, version=version)
    return versions, refusals


@transaction.atomic
def deploy_version(*, actor: User | None, version: ModelVersion) -> Deployment:
    """Let `version` answer its task from now on.

    Raises BundleUntrusted, TrustedKeysInvalid and VersionNotDeployable.
    """
    if not is_trusted(version):
        raise BundleUntrusted(version=str(version))
    current = Deployment.objects.live_version(version.task)
    if current == version:
        raise VersionNotDeployable(version=str(version))
    return _append(actor=actor, task=version.task, version=version, previous=current)


@transaction.atomic
def withdraw_task(*, actor: User | None, task: str) -> Deployment:
    """Take a task out of use at once: studies then abstain with that reason."""
    current = Deployment.objects.live_version(task)
    if current is None:
        raise VersionNotDeployable(version="No version")
    return _append(actor=actor, task=task, version=None, previous=current)


def _append(
    *, actor: User | None, task: str, version: ModelVersion | None, previous: ModelVersion | None
) -> Deployment:
    deployment = Deployment.objects.create(task=task, model_version=version, deployed_by=actor)
    record_event(
        action=Action.MODEL_DEPLOYED,
        actor=actor,
        target=version or previous,
        details={
            "task": task,
            "version": version.version if version else None,
            "model_digest": version.digest if version else None,
            "previous_digest": previous.digest if previous else None,
        },
    )
    return deployment


@transaction.atomic
def _register(*, actor: User | None, description: BundleDescription) -> ModelVersion:
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

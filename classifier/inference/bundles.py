"""Bundles on disk: what they say of themselves, and the opened models of those in use."""

from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from classifier.errors import (
    BundleRefused,
    BundleUnavailable,
    BundleUntrusted,
    TrustedKeysInvalid,
)
from classifier.models import Deployment, ModelVersion, Task
from ml.bundles import MODEL_CARD, find_bundles, load_bundle, private_copy
from ml.errors import BundleTampered, MLError
from ml.predictor import Predictor, open_bundle
from ml.signing import TrustedKey, load_trusted_keys


@dataclass(frozen=True)
class BundleDescription:
    """What the registry keeps of a bundle on disk; without a trusted signature, it is research."""

    task: str
    version: str
    digest: str
    stage: str
    signed_by: str
    manifest: dict[str, Any]
    model_card: str


@dataclass(frozen=True)
class Router:
    """The body-part model in use."""

    version: ModelVersion
    predictor: Predictor


def find_bundle_paths(root: Path) -> list[Path]:
    """Every folder under `root` that says it is a bundle."""
    return find_bundles(root)


def describe_bundle(path: Path) -> BundleDescription:
    """Verify one bundle.

    Raises BundleRefused for one that was changed, is not whole, or lies under another name, and
    TrustedKeysInvalid.
    """
    name, keys = f"{path.parent.name} {path.name}", trusted_keys()
    try:
        bundle = load_bundle(path, trusted_keys=keys)
        card = (path / MODEL_CARD).read_text(encoding="utf-8")
    except MLError as error:
        raise BundleRefused(bundle=name, reason=error.message) from error
    except (OSError, UnicodeError) as error:
        raise BundleRefused(bundle=name, reason=f"{MODEL_CARD} can't be read.") from error
    if (bundle.task, bundle.version) != (path.parent.name, path.name):
        reason = f"its manifest is of {bundle.task} {bundle.version}."
        raise BundleRefused(bundle=name, reason=reason)
    if bundle.task not in Task.values:
        raise BundleRefused(bundle=name, reason="there is no such task here.")
    if "\0" in card:
        raise BundleRefused(bundle=name, reason=f"{MODEL_CARD} holds a NUL character.")
    return BundleDescription(
        task=bundle.task,
        version=bundle.version,
        digest=bundle.digest,
        stage=bundle.stage,
        signed_by=bundle.signed_by,
        manifest=asdict(bundle.manifest),
        model_card=card,
    )


def trusted_keys() -> tuple[TrustedKey, ...]:
    """The product's keys and the site's own. Raises TrustedKeysInvalid."""
    try:
        return load_trusted_keys(settings.BUNDLE_TRUSTED_KEYS)
    except MLError as error:
        raise TrustedKeysInvalid(reason=error.message) from error


def is_trusted(version: ModelVersion) -> bool:
    """Whether its signer is trusted now, and not only when it was registered."""
    return version.signed_by in {key.id for key in trusted_keys()}


def predictor_for(version: ModelVersion) -> Predictor:
    """The opened bundle of a registered version.

    Raises BundleUnavailable, BundleUntrusted and TrustedKeysInvalid, before an engine sees it.
    """
    path = Path(settings.BUNDLE_DIR) / version.task / version.version
    try:
        return _open_predictor(str(path), version.digest, settings.INFERENCE_DEVICE, trusted_keys())
    except MLError as error:
        raise BundleUnavailable(
            task=version.task, version=version.version, reason=error.message
        ) from error


def live_router() -> Router | None:
    """The body-part model in use, None while there is none. Raises BundleUnavailable.

    One that is in use and can't be opened stops the classification: going on by the header
    alone would take away a check that staff believe to be there.
    """
    version = Deployment.objects.live_version(Task.BODY_PART)
    return Router(version, predictor_for(version)) if version else None


@lru_cache(maxsize=8)
def _open_predictor(path: str, digest: str, device: str, keys: tuple[TrustedKey, ...]) -> Predictor:
    """One open network per bundle and process; the digest keys it, so that a new one is read.

    What is opened are the very bytes that were checked, whoever changes the folder meanwhile.
    """
    with private_copy(path) as copy:
        bundle = load_bundle(copy, trusted_keys=keys)
        if bundle.digest != digest:
            raise BundleTampered(path=path, detail="it is not the one that was registered")
        if not bundle.signed_by:
            raise BundleUntrusted(version=f"{bundle.task} {bundle.version}")
        return open_bundle(bundle, device=device)

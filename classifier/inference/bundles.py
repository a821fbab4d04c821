"""Bundles on disk: what they say of themselves, and the opened models of those in use."""

import contextlib
import hashlib
import logging
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings

from classifier.choices import ROUTER_TASK
from classifier.errors import (
    BundleNotKept,
    BundleRefused,
    BundleUnavailable,
    BundleUntrusted,
    ModelMissing,
    TrustedKeysInvalid,
)
from classifier.inference.bundle_store import copies_of, is_whole, keep_bundle
from classifier.models import Deployment, ModelVersion
from classifier.task_registry import SHIPPED_TASKS, why_unroutable
from ml.bundles import (
    MODEL_CARD,
    Bundle,
    find_bundles,
    load_bundle,
    private_copy,
    version_order,
)
from ml.errors import BundleInvalid, BundleTampered, MLError
from ml.predictor import Predictor, open_bundle
from ml.signing import TrustedKey, load_trusted_keys

logger = logging.getLogger(__name__)

FAULT_SECONDS = 5
"""So long a bundle that couldn't be opened isn't tried again: that costs the time of a study."""


class _Fault(NamedTuple):
    """Why a bundle couldn't be opened, and until when that is taken for granted."""

    error: BundleUnavailable
    until: float


_faults: dict[str, _Fault] = {}


class _NowhereError(Exception):
    """No folder here has a manifest of that digest."""


@dataclass(frozen=True)
class BundleDescription:
    """What the registry keeps of a bundle on disk; without a trusted signature, it is research."""

    path: Path
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


def order_of(version: ModelVersion) -> tuple[Any, ...]:
    """A key that sorts the versions of a task, the newest last."""
    return (version_order(version.version), version.registered_at)


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
    manifest = asdict(bundle.manifest)
    if bundle.task not in SHIPPED_TASKS and (reason := why_unroutable(manifest)):
        raise BundleRefused(bundle=name, reason=reason)
    if "\0" in card:
        raise BundleRefused(bundle=name, reason=f"{MODEL_CARD} holds a NUL character.")
    return BundleDescription(
        path=path,
        task=bundle.task,
        version=bundle.version,
        digest=bundle.digest,
        stage=bundle.stage,
        signed_by=bundle.signed_by,
        manifest=manifest,
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

    Raises ModelMissing, BundleUnavailable, BundleUntrusted and TrustedKeysInvalid, before an engine
    sees it.
    """
    known = _faults.get(version.digest)
    if known and time.monotonic() < known.until:
        raise known.error
    try:
        return _open_predictor(version.digest, settings.INFERENCE_DEVICE, trusted_keys())
    except _NowhereError as error:
        raise ModelMissing(version=str(version)) from error
    except MLError as error:
        logger.warning("bundle_unavailable: %s can't be opened: %s", version, error.message)
        fault = BundleUnavailable(version=str(version))
        _faults[version.digest] = _Fault(fault, time.monotonic() + FAULT_SECONDS)
        raise fault from error


def keep_registered(version: ModelVersion) -> None:
    """See to it that a registered version's bundle is kept, whole, before it is put into use.

    Raises ModelMissing where no sound copy is left, and BundleNotKept.
    """
    for folder in copies_of(version.digest):
        if is_whole(folder, version.digest):
            keep(folder, version.digest, name=str(version))
            return
    raise ModelMissing(version=str(version))


def keep(folder: Path, digest: str, *, name: str) -> None:
    """Keep the bundle in `folder`, which people call `name`. Raises BundleNotKept."""
    try:
        keep_bundle(folder, digest=digest)
    except (MLError, OSError) as error:
        reason = error.message if isinstance(error, MLError) else error.strerror
        raise BundleNotKept(version=name, reason=str(reason).rstrip(".")) from error


def read_bundle_file(version: ModelVersion, name: str) -> bytes | None:
    """One file of a registered version's bundle, as it was exported; None where that isn't here."""
    expected = version.manifest.get("files", {}).get(name)
    for folder in copies_of(version.digest):
        with contextlib.suppress(OSError):
            content = (folder / name).read_bytes()
            if hashlib.sha256(content).hexdigest() == expected:
                return content
    return None


def live_router() -> Router | None:
    """The body-part model in use, None while there is none. Raises what `predictor_for` does.

    One that is in use and can't be opened stops the classification: going on by the header
    alone would take away a check that staff believe to be there.
    """
    version = Deployment.objects.live_version(ROUTER_TASK)
    return Router(version, predictor_for(version)) if version else None


@lru_cache(maxsize=8)
def _open_predictor(digest: str, device: str, keys: tuple[TrustedKey, ...]) -> Predictor:
    """One open network per bundle and process; the digest keys it, so that a new one is read.

    What is opened are the very bytes that were checked, whoever changes the folder meanwhile. A
    copy that doesn't pass gives way to the next. Raises _NowhereError where there is none.
    """
    faults: list[MLError | BundleUntrusted] = []
    for folder in copies_of(digest):
        with contextlib.ExitStack() as stack:
            try:
                copy = stack.enter_context(private_copy(folder))
                bundle = _load_trusted(copy, digest, keys)
            except (BundleInvalid, BundleTampered, BundleUntrusted) as error:
                faults.append(error)
                continue
            predictor = open_bundle(bundle, device=device)
        _keep_at_last(folder, digest)
        return predictor
    raise faults[0] if faults else _NowhereError(digest)


def _load_trusted(copy: Path, digest: str, keys: tuple[TrustedKey, ...]) -> Bundle:
    bundle = load_bundle(copy, trusted_keys=keys)
    if bundle.digest != digest:
        raise BundleTampered(path=copy, detail="it is not the one that was registered")
    if not bundle.signed_by:
        raise BundleUntrusted(version=f"{bundle.task} {bundle.version}")
    return bundle


def _keep_at_last(folder: Path, digest: str) -> None:
    """Keep what answers, if it isn't yet; where that fails, it answers all the same."""
    try:
        keep_bundle(folder, digest=digest)
    except (MLError, OSError) as error:
        logger.warning("bundle_not_kept: %s can't be kept: %s", digest[:12], error)

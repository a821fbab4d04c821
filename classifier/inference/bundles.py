"""Bundles on disk: what they say of themselves, and the opened models of those in use."""

from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from classifier.errors import BundleRefused, BundleUnavailable
from classifier.models import Deployment, ModelVersion, Task
from ml.bundles import MODEL_CARD, find_bundles, load_bundle
from ml.errors import MLError
from ml.predictor import Predictor, open_predictor


@dataclass(frozen=True)
class BundleDescription:
    """What the registry keeps of a bundle on disk."""

    task: str
    version: str
    digest: str
    stage: str
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
    """Verify one bundle. Raises BundleRefused for one that was changed or is not whole."""
    try:
        bundle = load_bundle(path)
    except MLError as error:
        name = f"{path.parent.name} {path.name}"
        raise BundleRefused(bundle=name, reason=error.message) from error
    return BundleDescription(
        task=bundle.task,
        version=bundle.version,
        digest=bundle.digest,
        stage=bundle.manifest.stage,
        manifest=asdict(bundle.manifest),
        model_card=(path / MODEL_CARD).read_text(),
    )


def predictor_for(version: ModelVersion) -> Predictor:
    """The opened bundle of a registered version. Raises BundleUnavailable."""
    path = Path(settings.BUNDLE_DIR) / version.task / version.version
    try:
        predictor = _open_predictor(str(path), version.digest, settings.INFERENCE_DEVICE)
    except MLError as error:
        raise BundleUnavailable(
            task=version.task, version=version.version, reason=error.message
        ) from error
    if predictor.bundle.digest != version.digest:
        raise BundleUnavailable(
            task=version.task,
            version=version.version,
            reason="the bundle on this machine is not the one that was registered.",
        )
    return predictor


def live_router() -> Router | None:
    """The body-part model in use, None while there is none. Raises BundleUnavailable.

    One that is in use and can't be opened stops the classification: going on by the header
    alone would take away a check that staff believe to be there.
    """
    version = Deployment.objects.live_version(Task.BODY_PART)
    return Router(version, predictor_for(version)) if version else None


@lru_cache(maxsize=8)
def _open_predictor(path: str, _digest: str, device: str) -> Predictor:
    """One open network per bundle and process; the digest keys it, so that a new one is read."""
    return open_predictor(path, device=device)

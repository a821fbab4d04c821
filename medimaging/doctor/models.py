"""Trained models: who may sign them, the bundles, and what is in use, opened by its engine."""

from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError

from accounts.errors import KnownError
from classifier.errors import BundleRefused, TrustedKeysInvalid
from classifier.inference import describe_bundle, find_bundle_paths
from classifier.inference.bundles import predictor_for, trusted_keys
from classifier.models import Deployment, ModelVersion
from classifier.task_registry import TASK_TITLES
from medimaging.doctor.findings import Finding, error, ok, warning


def examine() -> Iterator[Finding]:
    """Check keys and files first, then have the engine answer the canary of what is in use."""
    try:
        yield ok("keys_trusted", f"{len(trusted_keys())} keys may sign models.")
    except TrustedKeysInvalid as failure:
        yield _of(failure)
        return
    yield from _shipped()
    yield from _deployed()


def _shipped() -> Iterator[Finding]:
    paths = find_bundle_paths(Path(settings.BUNDLE_DIR))
    if not paths:
        yield error(
            "bundles_missing",
            f"There are no models in {settings.BUNDLE_DIR}.",
            "Correct BUNDLE_DIR, or put the models there.",
        )
    for path in paths:
        try:
            bundle = describe_bundle(path)
        except BundleRefused as failure:
            yield _of(failure)
            continue
        if bundle.signed_by:
            yield ok("bundle_sound", f"The bundle {bundle.task} {bundle.version} is whole.")
        else:
            yield warning(
                "bundle_unsigned",
                f"The bundle {bundle.task} {bundle.version} is signed by nobody who is trusted.",
                "Sign it, or name the key in BUNDLE_TRUSTED_KEYS.",
            )


def _deployed() -> Iterator[Finding]:
    try:
        live = [(task, Deployment.objects.live_version(task)) for task in TASK_TITLES]
    except DatabaseError:
        yield warning(
            "models_unknown",
            "Which models are in use can't be told.",
            "Put the database right first.",
        )
        return
    for task, version in live:
        yield _open(version) if version else _unused(task)


def _open(version: ModelVersion) -> Finding:
    try:
        predictor_for(version)
    except KnownError as failure:
        return _of(failure)
    return ok("model_answers", f"{version} is in use, and gives the scores it should.")


def _unused(task: str) -> Finding:
    return warning(
        "task_without_model",
        f"No model is in use for {TASK_TITLES[task]}: such studies get no answer.",
        "Put one into use on the page Models, or run `manage.py register_bundles --deploy`.",
    )


def _of(failure: KnownError) -> Finding:
    return error(failure.code, failure.message, failure.action)

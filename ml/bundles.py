"""Opens the trained models that ship as folders, refusing any that was changed after export."""

import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ml.errors import BundleInvalid, BundleTampered
from ml.manifest import MANIFEST, RESEARCH, Manifest, read_manifest
from ml.preprocessing import PREPROCESSING_VERSION
from ml.signing import SIGNATURE, TrustedKey, find_signer, product_keys

KERAS_MODEL = "model.keras"
KERAS_NETWORK = "network.json"
"""The same without weights: these are where OpenVINO has them. A bundle holds one of the two."""
OPENVINO_MODEL = "network.xml"
OPENVINO_WEIGHTS = "network.bin"
HEAD = "head.npz"
EMBEDDINGS = "embeddings.npz"
CANARY = "canary.npz"
MODEL_CARD = "model_card.md"
COPY = "medimaging-bundle-"
"""What the folders begin with into which a bundle is copied while it is opened."""
COPY_SECONDS = 3600
MAX_BYTES = 1 << 30
"""Largest bundle that is read; those that ship have 16 MB at most."""
REQUIRED = (OPENVINO_MODEL, OPENVINO_WEIGHTS, HEAD, EMBEDDINGS, CANARY, MODEL_CARD)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle. `digest`, the SHA-256 of its manifest, names it and all its files.

    `signed_by` is the id of the trusted key that signed it, empty when none did.
    """

    path: Path
    manifest: Manifest
    digest: str
    signed_by: str = ""

    @property
    def task(self) -> str:
        """Name of the task it answers."""
        return self.manifest.task

    @property
    def version(self) -> str:
        """Its version within the task."""
        return self.manifest.version

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the order of the network's outputs."""
        return self.manifest.labels

    @property
    def stage(self) -> str:
        """What its manifest says where a trusted key signed that; without, it is research."""
        return self.manifest.stage if self.signed_by else RESEARCH


def load_bundle(path: Path | str, *, trusted_keys: Iterable[TrustedKey] | None = None) -> Bundle:
    """Read a bundle, check the SHA-256 of each of its files, and whether a trusted key signed it.

    Without `trusted_keys` those of the product are. Raises BundleInvalid (no valid manifest or
    signature file, a missing file, another preprocessing version, far too large) and
    BundleTampered (a file differs, one was added, one is no plain file, a trusted key's signature
    is not over this manifest).

    >>> bundle = load_bundle(find_task_bundle("ml/bundles", "brain-mri"))
    >>> bundle.task, bundle.labels
    ('brain-mri', ('glioma', 'meningioma', 'pituitary', 'no_tumor'))
    """
    folder = Path(path)
    names = _list_plain_files(folder)
    manifest, content = read_manifest(folder)
    absent = [name for name in REQUIRED if name not in manifest.files]
    if not {KERAS_MODEL, KERAS_NETWORK} & set(manifest.files):
        absent.append(KERAS_NETWORK)
    if absent:
        raise BundleInvalid(path=folder, detail=f"the manifest names no {absent[0]}")
    if manifest.preprocessing != PREPROCESSING_VERSION:
        detail = f"it needs preprocessing {manifest.preprocessing}, not {PREPROCESSING_VERSION}"
        raise BundleInvalid(path=folder, detail=detail)
    for name, expected in manifest.files.items():
        if hash_file(folder / name) != expected:
            raise BundleTampered(path=folder, detail=f"{name} differs")
    if strangers := names - set(manifest.files) - {MANIFEST, SIGNATURE}:
        raise BundleTampered(path=folder, detail=f"{min(strangers)} was added")
    keys = product_keys() if trusted_keys is None else trusted_keys
    return Bundle(
        path=folder,
        manifest=manifest,
        digest=hashlib.sha256(content).hexdigest(),
        signed_by=find_signer(folder, content, keys),
    )


@contextmanager
def private_copy(path: Path | str) -> Iterator[Path]:
    """A copy of a bundle where nobody else writes: what is checked there is what is opened there.

    Raises BundleInvalid and BundleTampered; the copy itself has still to be loaded.
    """
    folder = Path(path)
    _remove_left_copies()
    with tempfile.TemporaryDirectory(prefix=COPY) as place:
        copy = Path(place) / folder.name
        copy.mkdir()
        copy_bundle(folder, copy)
        yield copy


def copy_bundle(folder: Path, target: Path) -> None:
    """Copy a bundle's files, and not their modes, into an empty folder that nobody else writes to.

    Raises BundleInvalid and BundleTampered; the copy itself has still to be loaded.
    """
    names = _list_plain_files(folder)
    try:
        for name in names:
            shutil.copyfile(folder / name, target / name, follow_symlinks=False)
    except OSError as error:
        detail = f"it can't be copied: {error.strerror}"
        raise BundleInvalid(path=folder, detail=detail) from error


def digest_of(folder: Path) -> str:
    """What names the bundle in a folder: the SHA-256 of its manifest, none of its files checked.

    Raises BundleInvalid and BundleTampered.
    """
    _list_plain_files(folder)
    return hash_file(folder / MANIFEST)


def _remove_left_copies() -> None:
    """Remove the copies that killed processes of this account have left."""
    for left in Path(tempfile.gettempdir()).glob(f"{COPY}*"):
        with suppress(OSError):
            found = left.lstat()
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime > COPY_SECONDS:
                shutil.rmtree(left)


def _list_plain_files(folder: Path) -> set[str]:
    """Names in the folder, before any is opened: a link leads elsewhere, a pipe never ends."""
    try:
        found = {entry.name: entry.lstat() for entry in folder.iterdir()}
    except OSError as error:
        raise BundleInvalid(path=folder, detail=error.strerror) from error
    for name, status in found.items():
        if not stat.S_ISREG(status.st_mode):
            raise BundleTampered(path=folder, detail=f"{name} is no plain file")
    if sum(status.st_size for status in found.values()) > MAX_BYTES:
        raise BundleInvalid(path=folder, detail=f"it has more than {MAX_BYTES} bytes")
    return set(found)


def hash_file(path: Path) -> str:
    """SHA-256 of a bundle's file; raises BundleInvalid when it is missing."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BundleInvalid(path=path.parent, detail=f"{path.name}: {error.strerror}") from error


def find_bundles(root: Path | str) -> list[Path]:
    """Folders `<task>/<version>/` under the root that hold a manifest, each task's newest last."""
    return sorted((path.parent for path in Path(root).glob(f"*/*/{MANIFEST}")), key=_order)


def find_task_bundle(root: Path | str, task: str) -> Path:
    """The task's newest bundle by version; raises BundleInvalid when there is none."""
    found = [path for path in find_bundles(root) if path.parent.name == task]
    if not found:
        raise BundleInvalid(path=Path(root) / task, detail="there is no bundle for this task")
    return found[-1]


def _order(path: Path) -> tuple[str, list[tuple[int, str]]]:
    return path.parent.name, version_order(path.name)


def version_order(version: str) -> list[tuple[int, str]]:
    """A key that sorts versions: 1.10.0 comes behind 1.9.0."""
    return [(int(part) if part.isdigit() else -1, part) for part in version.split(".")]

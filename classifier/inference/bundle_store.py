"""The bundles that are or may be in use, kept outside the code and named by their digests.

A release brings its own bundles under `BUNDLE_DIR` and takes former ones away; what was registered
stays here, so that a deployment never points at nothing. A bundle is copied beside its place,
checked and flushed there, and then renamed: it is here whole, or not at all. Whoever opens one
checks it again.
"""

import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from ml.bundles import copy_bundle, digest_of, find_bundles, load_bundle
from ml.errors import BundleTampered, MLError
from ml.manifest import read_manifest
from ml.signing import SIGNATURE
from records.files.stores.local import DIRECTORY_MODE, flush, make_private

DIGEST = re.compile("[0-9a-f]{64}")
UNFINISHED = ".incoming-"
"""What the folders in which copies are made begin with; a killed process leaves one."""
UNFINISHED_SECONDS = 3600


def place_of(digest: str) -> Path:
    """Where the bundle of this digest lies, if it is here."""
    return Path(settings.BUNDLE_STORE_DIR) / digest


def copies_of(digest: str) -> Iterator[Path]:
    """Folders whose manifest has this digest: the one kept here, then those under `BUNDLE_DIR`."""
    for folder in (place_of(digest), *find_bundles(settings.BUNDLE_DIR)):
        with contextlib.suppress(MLError):
            if digest_of(folder) == digest:
                yield folder


def is_present(digest: str) -> bool:
    """Tell whether some copy has all its files; whether they are the right ones, opening tells."""
    return any(_has_every_file(folder) for folder in copies_of(digest))


def shipped_digests() -> set[str]:
    """The digests of what lies under `BUNDLE_DIR`."""
    found = set()
    for folder in find_bundles(settings.BUNDLE_DIR):
        with contextlib.suppress(MLError):
            found.add(digest_of(folder))
    return found


def kept_digests() -> list[str]:
    """The digests of the bundles that are kept here."""
    root = Path(settings.BUNDLE_STORE_DIR)
    names = (path.name for path in root.iterdir()) if root.is_dir() else ()
    return sorted(name for name in names if DIGEST.fullmatch(name))


def keep_bundle(source: Path, *, digest: str) -> None:
    """Have the bundle in `source` here too, whole and under its digest; safe to do twice at once.

    A copy that was damaged since is replaced, and one whose signature differs gets the source's.
    Raises MLError where the source is not that bundle, and OSError where nothing can be written.
    """
    root, place = Path(settings.BUNDLE_STORE_DIR), place_of(digest)
    if source == place:
        return
    make_private(root)
    with tempfile.TemporaryDirectory(
        prefix=UNFINISHED, dir=root, ignore_cleanup_errors=True
    ) as name:
        aside = Path(name)
        if is_whole(place, digest):
            _renew_signature(source, place, aside)
            return
        copy = aside / "copy"
        copy.mkdir(mode=DIRECTORY_MODE)
        copy_bundle(source, copy)
        _check(copy, digest)
        for path in (*copy.iterdir(), copy):
            flush(path)
        _publish(copy, place, aside)
    flush(root)


def remove_bundle(digest: str) -> None:
    """Take a bundle away, at once for whoever looks for it; one that isn't here is no error."""
    root, place = Path(settings.BUNDLE_STORE_DIR), place_of(digest)
    if not place.exists():
        return
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=root) as aside:
        place.rename(Path(aside) / digest)


def remove_unfinished() -> int:
    """Remove what processes left that were killed over a copy; returns how many there were."""
    removed = 0
    for path in Path(settings.BUNDLE_STORE_DIR).glob(f"{UNFINISHED}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > UNFINISHED_SECONDS:
                shutil.rmtree(path)
                removed += 1
    return removed


def is_whole(folder: Path, digest: str) -> bool:
    """Tell whether a folder holds this bundle with every file as it was exported."""
    try:
        _check(folder, digest)
    except MLError:
        return False
    return True


def _check(folder: Path, digest: str) -> None:
    if load_bundle(folder, trusted_keys=()).digest != digest:
        raise BundleTampered(path=folder, detail="it is not the one that was registered")


def _has_every_file(folder: Path) -> bool:
    try:
        manifest, _ = read_manifest(folder)
    except MLError:
        return False
    return all((folder / name).is_file() for name in manifest.files)


def _publish(copy: Path, place: Path, aside: Path) -> None:
    """Rename a checked copy to its place; where another was faster, theirs is as good."""
    with contextlib.suppress(FileNotFoundError):
        place.rename(aside / "former")
    try:
        copy.rename(place)
    except OSError:
        if not place.is_dir():
            raise


def _renew_signature(source: Path, place: Path, aside: Path) -> None:
    """Who answers for a bundle may be told after it was exported: the digest stays."""
    sent, kept = source / SIGNATURE, place / SIGNATURE
    if not sent.exists():
        kept.unlink(missing_ok=True)
    elif not kept.exists() or kept.read_bytes() != sent.read_bytes():
        new = aside / SIGNATURE
        shutil.copyfile(sent, new, follow_symlinks=False)
        flush(new)
        new.replace(kept)
    flush(place)

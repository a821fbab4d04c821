"""Bundles: the newest is found, and one that was changed or says nonsense is refused."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ml.bundles import find_task_bundle, load_bundle
from ml.errors import BundleInvalid, BundleTampered
from ml.manifest import read_manifest, write_manifest


def test_find_task_bundle_is_the_newest_when_there_are_several(tmp_path: Path) -> None:
    for version in ("1.2.0", "1.10.0", "1.9.3"):
        (tmp_path / "chest-xray" / version).mkdir(parents=True)
        (tmp_path / "chest-xray" / version / "manifest.json").write_text("{}")
    assert find_task_bundle(tmp_path, "chest-xray").name == "1.10.0"
    with pytest.raises(BundleInvalid):
        find_task_bundle(tmp_path, "retina")


@pytest.mark.parametrize("name", ["network.bin", "network.json", "model_card.md", "head.npz"])
def test_load_bundle_refuses_when_a_file_was_changed(
    released_path: Path, tmp_path: Path, name: str
) -> None:
    copy = shutil.copytree(released_path, tmp_path / "copy")
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleTampered, match=name):
        load_bundle(copy)


def test_load_bundle_refuses_when_a_file_was_added_or_removed(
    released_path: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(released_path, tmp_path / "copy")
    (copy / "extra.txt").write_text("hello")
    with pytest.raises(BundleTampered, match=r"extra\.txt"):
        load_bundle(copy)
    (copy / "extra.txt").unlink()
    (copy / "network.bin").unlink()
    with pytest.raises(BundleInvalid, match=r"network\.bin"):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("schema", 2),
        ("temperature", 0.0),
        ("temperature", "warm"),
        ("normal_label", "healthy"),
        ("preprocessing", "another-1"),
        ("surprise", 1),
        ("files", {"../../etc/passwd": "00"}),
    ],
)
def test_load_bundle_refuses_when_the_manifest_says_nonsense(
    released_path: Path, tmp_path: Path, entry: str, value: Any
) -> None:
    copy = shutil.copytree(released_path, tmp_path / "copy")
    table = json.loads((copy / "manifest.json").read_text()) | {entry: value}
    (copy / "manifest.json").write_text(json.dumps(table))
    with pytest.raises(BundleInvalid):
        load_bundle(copy)


def test_load_bundle_has_another_digest_when_a_threshold_changes(
    released_path: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(released_path, tmp_path / "copy")
    manifest, _ = read_manifest(copy)
    write_manifest(manifest, copy)
    before = load_bundle(copy).digest
    write_manifest(manifest, copy)
    assert load_bundle(copy).digest == before
    write_manifest(dataclasses.replace(manifest, temperature=manifest.temperature + 0.01), copy)
    assert load_bundle(copy).digest != before

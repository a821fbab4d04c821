"""What we depend on, held against advisories in the form of osv.dev, without a network."""

import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

HASH = re.compile(r"\s--hash=sha256:[0-9a-f]{64}\b")
CONTINUED = re.compile(r"\\\n\s*")
ECOSYSTEM = "PyPI"
UNDECIDED = "its range can't be judged"


class AdvisoriesUnreadable(Exception):
    """A list that can't be read says nothing, and must not pass for an all-clear."""


@dataclass(frozen=True)
class Pin:
    """One package of a lock file."""

    name: str
    version: Version


@dataclass(frozen=True)
class Finding:
    """A pin with a known hole: which, and what to do."""

    pin: Pin
    advisory: str
    aliases: tuple[str, ...]
    remedy: str

    def __str__(self) -> str:
        """Return package, advisory and fix in a line."""
        names = ", ".join((self.advisory, *self.aliases))
        return f"{self.pin.name} {self.pin.version}: {names}: {self.remedy}"


def read_pins(path: Path) -> tuple[list[Pin], list[str]]:
    """The pins of a lock file, and a sentence for each line that could let another file in."""
    pins, loose = [], []
    for line in CONTINUED.sub(" ", path.read_text()).splitlines():
        text = line.split(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        pin = _read_pin(text)
        if pin is None:
            loose.append(f"{path.name}: no exact version with SHA-256: {text[:80]}")
        else:
            pins.append(pin)
    return pins, loose


def _read_pin(text: str) -> Pin | None:
    if not HASH.search(text):
        return None
    try:
        requirement = Requirement(text.split(" --hash")[0])
        (specifier,) = requirement.specifier
        version = Version(specifier.version)
    except (InvalidRequirement, InvalidVersion, ValueError):
        return None
    if specifier.operator != "==" or requirement.url:
        return None
    return Pin(canonicalize_name(requirement.name), version)


def read_advisories(place: Path) -> list[dict[str, Any]]:
    """The advisories on Python packages in a JSON file, a folder or a ZIP of them.

    Raises AdvisoriesUnreadable when there are none.
    """
    try:
        contents = (json.loads(text) for text in _read_texts(place))
        records = [record for content in contents for record in _records_in(content)]
        found = [one for one in records if any(_is_ours(part) for part in one["affected"])]
        if not found:
            raise AdvisoriesUnreadable(f"{place} holds no advisory on a Python package")
        if any(not isinstance(one["id"], str) for one in found):
            raise AdvisoriesUnreadable(f"{place} is not in the form of osv.dev")
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise AdvisoriesUnreadable(f"{place} is not in the form of osv.dev: {error}") from error
    return found


def _read_texts(place: Path) -> Iterator[bytes]:
    if place.is_dir():
        yield from (path.read_bytes() for path in sorted(place.rglob("*.json")))
    elif zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as archive:
            for name in archive.namelist():
                if name.endswith(".json"):
                    yield archive.read(name)
    else:
        yield place.read_bytes()


def _records_in(content: Any) -> Sequence[Any]:
    """One record, a list of them, or an answer of osv.dev's API."""
    if isinstance(content, list):
        return content
    records: Sequence[Any] = content.get("vulns", [content])
    return records


def _is_ours(part: Mapping[str, Any]) -> bool:
    return str(part.get("package", {}).get("ecosystem", "")).split(":")[0] == ECOSYSTEM


def find_affected(pins: Sequence[Pin], advisories: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Each pin that an advisory still standing is about, in the order of the advisories."""
    by_name: dict[str, set[Pin]] = {}
    for pin in pins:
        by_name.setdefault(pin.name, set()).add(pin)
    findings = []
    for advisory in advisories:
        if advisory.get("withdrawn"):
            continue
        for part in filter(_is_ours, advisory["affected"]):
            name = canonicalize_name(part["package"]["name"])
            for pin in sorted(by_name.get(name, ()), key=lambda one: one.version):
                if remedy := _judge(pin.version, part):
                    aliases = tuple(advisory.get("aliases", ()))
                    findings.append(Finding(pin, advisory["id"], aliases, remedy))
    return list(dict.fromkeys(findings))


def _judge(version: Version, part: Mapping[str, Any]) -> str:
    """What to do about a version, empty where it isn't affected."""
    for one in part.get("ranges", ()):
        if one.get("type") != "ECOSYSTEM":
            continue
        try:
            if remedy := _judge_range(version, one["events"]):
                return remedy
        except (InvalidVersion, KeyError):
            return UNDECIDED
    is_listed = any(_is_same(version, text) for text in part.get("versions", ()))
    return "listed as affected; see the advisory for its fix" if is_listed else ""


def _judge_range(version: Version, events: Sequence[Mapping[str, str]]) -> str:
    """Walk the events upwards; "0" introduces before every version."""
    walked = sorted(
        (Version("0.dev0") if text == "0" else Version(text), kind, text)
        for event in events
        for kind, text in event.items()
    )
    is_affected = False
    for place, kind, text in walked:
        if place > version:
            if is_affected and kind == "fixed":
                return f"fixed in {text}"
            continue
        if kind == "introduced":
            is_affected = True
        elif kind == "fixed" or (kind == "last_affected" and version > place):
            is_affected = False
    return "no fix is known" if is_affected else ""


def _is_same(version: Version, text: str) -> bool:
    try:
        return Version(text) == version
    except InvalidVersion:
        return False

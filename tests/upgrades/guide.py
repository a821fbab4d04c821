"""The commands that docs/operators.md gives for an upgrade and for going back."""

import re

from tests.product import ROOT

BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(heading: str) -> list[list[str]]:
    """The lines of each block under a heading: first with Docker Compose, then on trial."""
    text = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return [block.strip().splitlines() for block in BLOCK.findall(section)]

"""The security page names tests that show what it says: each of them is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security.md"
NAMED = re.compile(r"`(tests/[\w/.-]+?\.py)(?:::(\w+))?`")
STATES = {"met", "partly", "not met", "not applicable"}


def named_tests():
    """Each file named on the page, and the test in it, if one is."""
    return sorted(set(NAMED.findall(PAGE.read_text())))


def table_rows():
    """The cells of each row that says whether a requirement is met."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if len(row) == 4 and row[1] not in {"---", ""}]


def test_page_names_tests():
    assert len(named_tests()) >= 30


@pytest.mark.parametrize(("path", "name"), named_tests())
def test_every_test_that_the_page_names_exists(path, name):
    content = (ROOT / path).read_text()
    assert not name or re.search(rf"^ *(async )?def {name}\(", content, re.MULTILINE)


def test_every_requirement_says_whether_it_is_met():
    rows = [row for row in table_rows() if row[2] != "State"]
    assert len(rows) >= 60
    assert {row[2] for row in rows} <= STATES


def test_what_is_met_names_a_test_and_what_is_not_says_why():
    for row in table_rows():
        if row[2] == "met":
            assert "`tests/" in row[3] or "](" in row[3] or "`make" in row[3], row
        if row[2] in {"partly", "not met", "not applicable"}:
            assert len(row[3]) > 10, row


def test_links_of_the_page_lead_somewhere():
    for document in (PAGE, ROOT / "SECURITY.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", document.read_text()):
            assert (document.parent / target).exists(), target

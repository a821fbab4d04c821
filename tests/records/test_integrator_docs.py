"""The tables of docs/integrators.md, held against the code; its examples run in tests/contract."""

import re
from pathlib import Path

from classifier.choices import ClassificationState
from records import errors
from records.dicom.attributes import ATTRIBUTES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "integrators.md").read_text("utf-8")


def test_every_code_of_a_refused_file_is_in_the_table():
    listed = set(re.findall(r"`([a-z_]+)`", PAGE))
    codes = {kind.code for kind in errors.FileRejected.__subclasses__()}
    assert codes <= listed


def test_every_status_of_a_result_is_in_the_table():
    listed = set(re.findall(r"`([a-z_]+)`", PAGE[PAGE.index("| `status` |") :]))
    assert set(ClassificationState.values) <= listed


def test_table_of_searches_is_the_table_that_searches_go_by():
    section = PAGE[PAGE.index("### What a search knows") : PAGE.index("## De-identified copies")]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]

    assert [[cell.replace("`", "") for cell in row] for row in rows[2:]] == [
        [one.keyword, one.tag, one.level.name.capitalize(), one.matching, one.returned]
        for one in ATTRIBUTES
    ]

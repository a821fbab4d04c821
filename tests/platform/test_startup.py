"""What pytest sets up before it collects tests, by what is asked for."""

import os
import re
import subprocess
import sys

import pytest

from tests.product import ROOT

COLLECTING = """
import sys
import pytest

status = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *sys.argv[1:]])
sys.exit(status or ("with Django" if "django.conf" in sys.modules else "without Django"))
"""

PRODUCT = r"^\s*(?:from|import) (?:accounts|classifier|django|medimaging|tests\.installation{})\b"
FOREIGN = {"ml": PRODUCT.format("|records"), "dicom": PRODUCT.format(r"|records(?!\.dicom)")}
"""What tests of each library don't import: one of them lies in `records`."""


def collect(*asked: str) -> str:
    """Whether pytest had Django when it had collected the tests of those paths."""
    environment = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    done = subprocess.run(
        [sys.executable, "-c", COLLECTING, *asked],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip() or f"status {done.returncode}: {done.stdout}"


def test_django_is_left_out_when_only_tests_of_libraries_are_asked_for() -> None:
    assert collect("tests/ml/test_levels.py", "tests/dicom/test_wire.py") == "without Django"


def test_django_is_set_up_when_a_test_of_the_product_is_asked_for_beside_them() -> None:
    assert collect("tests/ml/test_levels.py", "tests/accounts/test_paging.py") == "with Django"


@pytest.mark.parametrize("library", FOREIGN)
def test_tests_of_a_library_import_nothing_of_the_product(library: str) -> None:
    paths = sorted((ROOT / "tests" / library).rglob("*.py"))
    assert len(paths) > 10
    found = {str(path): re.findall(FOREIGN[library], path.read_text(), re.M) for path in paths}
    assert {path: imports for path, imports in found.items() if imports} == {}

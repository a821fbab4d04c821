"""What pytest sets up before it collects tests, by what is asked for."""

import os
import re
import subprocess
import sys

from tests.product import ROOT

COLLECTING = """
import sys
import pytest

status = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *sys.argv[1:]])
sys.exit(status or ("with Django" if "django.conf" in sys.modules else "without Django"))
"""

PRODUCT = re.compile(
    r"^\s*(?:from|import) "
    r"(?:(?:accounts|classifier|django|medimaging)\b|records\b(?!\.dicom)|tests\.installation)",
    re.MULTILINE,
)
LIBRARIES_TESTS = [
    path for name in ("dicom", "ml") for path in (ROOT / "tests" / name).rglob("*.py")
]


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


def test_tests_of_libraries_import_nothing_of_the_product() -> None:
    found = {str(path): PRODUCT.findall(path.read_text()) for path in LIBRARIES_TESTS}
    assert len(found) > 80
    assert {path: imports for path, imports in found.items() if imports} == {}

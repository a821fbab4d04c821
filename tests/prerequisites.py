"""Programs and data that some tests need: a stranger may lack them, CI may not."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


def skip_or_fail(reason: str) -> NoReturn:
    """Skip a test with its reason; where everything has to be there, fail it instead."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}, and in CI it has to be there")
    pytest.skip(reason)


def require_program(name: str, package: str) -> None:
    """Go on only where the Debian `package` with the program `name` is installed."""
    if shutil.which(name) is None:
        skip_or_fail(f"{package} is not installed")


def require_shared(folder: str) -> Path:
    """A folder of the image collections that lie beside the repository."""
    path = SHARED / folder
    if not path.is_dir():
        skip_or_fail(f"the images of ../shared/{folder} are not on this machine")
    return path

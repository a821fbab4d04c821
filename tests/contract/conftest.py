"""The product that other people's clients are tried on, and the programs that make those."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.prerequisites import skip_or_fail
from tests.product import ROOT, Product, running

CLIENTS = ROOT / "var" / "clients"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the fuzzer come last: it deletes and decides on what the others have found."""
    items.sort(key=lambda item: "schemathesis" in item.name)


@pytest.fixture(scope="session")
def tools() -> Path:
    """Where `make clients` has put programs and packages."""
    if not (CLIENTS / ".installed").exists():
        skip_or_fail("the programs of `make clients` are not installed")
    return CLIENTS


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One for all: with its demo accounts and samples, as `make run` starts it."""
    with running(tmp_path_factory.mktemp("contract") / "data") as found:
        yield found

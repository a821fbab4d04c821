"""`ml` as a package that others install: what it needs, and how it is started."""

import importlib
import importlib.metadata
import re
import sys
import tomllib

import pytest

from tests.ml.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMPORT = re.compile(r"^\s*(?:import|from) (\w+)", re.MULTILINE)
# What runs a bundle on a GPU, which a CPU does without.
ENGINES_OF_GPUS = {"keras", "tensorflow"}


def read_requirements(name: str) -> set[str]:
    lines = (ROOT / "requirements" / f"{name}.in").read_text().splitlines()
    return {line for line in lines if line and not line.startswith(("#", "-"))}


def test_library_needs_a_part_of_what_the_product_needs() -> None:
    assert set(PROJECT["dependencies"]) <= read_requirements("base")


def test_workshop_needs_what_training_needs() -> None:
    assert set(PROJECT["optional-dependencies"]["workshop"]) == read_requirements("train")


def test_library_imports_only_what_it_needs() -> None:
    sources = [
        path.read_text()
        for path in (ROOT / "ml").rglob("*.py")
        if "workshop" not in path.parts and path.name != "__main__.py"
    ]
    imported = {name for source in sources for name in IMPORT.findall(source)}
    imported -= {"ml", *sys.stdlib_module_names, *ENGINES_OF_GPUS}
    packages = importlib.metadata.packages_distributions()
    needed = {re.match(r"[\w-]+", one)[0] for one in PROJECT["dependencies"]}
    assert {name for name in imported if not needed & {*map(str.lower, packages[name])}} == set()


def test_script_begins_where_the_module_does(capsys: pytest.CaptureFixture[str]) -> None:
    module, _, function = PROJECT["scripts"]["medimaging-ml"].partition(":")
    main = getattr(importlib.import_module(module), function)
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "predict" in capsys.readouterr().out

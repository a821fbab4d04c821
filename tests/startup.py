"""A plugin of pytest that is loaded first: it sets up what the tests that are asked for need.

Those of `tests/ml` are tests of a library: they get neither Django nor PostgreSQL, unless others
are asked for beside them.
"""

import os
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parent / "ml"

# Several test processes share few cores: threads of one would wait for another's.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
# What a developer has exported, or the process that hands out tests: pytest-django would obey it.
os.environ.pop("DJANGO_SETTINGS_MODULE", None)


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Set the product up before any conftest is read: those of its folders import models."""
    if not asks_library_alone(early_config):
        early_config.pluginmanager.import_plugin("tests.installation")


def asks_library_alone(config: pytest.Config) -> bool:
    """Whether all tests that are asked for lie in `tests/ml`."""
    folder = config.invocation_params.dir
    asked = config.known_args_namespace.file_or_dir or [str(folder)]
    paths = [(folder / one.partition("::")[0]).resolve() for one in asked]
    return all(path.is_relative_to(LIBRARY) for path in paths)

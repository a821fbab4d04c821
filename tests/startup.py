"""A plugin of pytest that is loaded first: it sets up what the tests that are asked for need.

Those of `tests/ml` and `tests/dicom` are tests of libraries: they get neither Django nor
PostgreSQL, unless others are asked for beside them.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest

LIBRARIES = tuple(Path(__file__).parent / name for name in ("dicom", "ml"))
LONG = ("backup", "chaos", "contract", "e2e", "ml/workshop", "upgrades")
"""Folders whose files take minutes: begun last, they would keep one process busy alone."""
SERVERS = {"embedded_services", "db", "transactional_db", "product"}
"""Fixtures that start PostgreSQL, Redis or the whole product."""

SAID_AT_ONCE = 12
"""Lines of a failure that are printed when it happens. All of it stands at the end of the run."""

# Several test processes share few cores: threads of one would wait for another's.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
# What a developer has exported, or the process that hands out tests: pytest-django would obey it.
os.environ.pop("DJANGO_SETTINGS_MODULE", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the option of `make check`."""
    parser.addoption(
        "--without-servers",
        action="store_true",
        help="leave out what needs PostgreSQL, Redis or a browser, and what is marked as slow",
    )


@pytest.hookimpl(trylast=True)  # after the terminal is there
def pytest_configure(config: pytest.Config) -> None:
    """Where several processes test, have failures told when they happen."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Teller(config))


class Teller:
    """Tells a failure when it happens: a run that is cut off never comes to its summary."""

    def __init__(self, config: pytest.Config) -> None:
        self._terminal = config.pluginmanager.getplugin("terminalreporter")
        self._running: dict[str, None] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note what has begun."""
        self._running[nodeid] = None

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Note what has ended."""
        self._running.pop(nodeid, None)

    def pytest_keyboard_interrupt(self) -> None:
        """Say what is left undone."""
        for nodeid in self._running:
            self._terminal.write_line(f"not ended: {nodeid}")

    @pytest.hookimpl(trylast=True)  # after its F was printed
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Print the last lines of what failed."""
        if report.failed:
            last = report.longreprtext.splitlines()[-SAID_AT_ONCE:]
            self._terminal.write_line("")
            self._terminal.write_line(f"{report.nodeid} ({report.when})")
            for line in last:
                self._terminal.write_line(f"  {line}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Say of a process that died what the machine had left for it."""
        if error:
            free = psutil.virtual_memory().available >> 20
            counts = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
            self._terminal.write_line("")
            self._terminal.write_line(
                f"{node.gateway.id} died. {free} MiB are free; since its start, this machine has "
                f"killed {counts.get('oom_kill', '?')} processes for want of memory."
            )


@pytest.hookimpl(trylast=True)  # after the order was drawn by lot
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Spread the long files over the first half of the run; leave out what takes long, if asked."""
    places = {
        path: place for place, path in enumerate(_spread({item.path: None for item in items}))
    }
    items.sort(key=lambda item: places[item.path])
    if not config.getoption("--without-servers"):
        return
    left_out = {item for item in items if _needs_server(item) or _takes_long(item)}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def _spread(paths: Iterable[Path]) -> list[Path]:
    """The files in their order, with the long ones among the first half of the others."""
    long, short = [], []
    for path in paths:
        (long if _is_long(path) else short).append(path)
    step = max(1, len(short) // (2 * len(long) or 1))
    spread: list[Path] = []
    for place, path in enumerate(short):
        if long and place % step == 0:
            spread.append(long.pop(0))
        spread.append(path)
    return spread + long


def _is_long(path: Path) -> bool:
    return any(path.is_relative_to(Path(__file__).parent / name) for name in LONG)


def _takes_long(item: pytest.Item) -> bool:
    return _is_long(item.path) or _is_marked(item, "slow", "e2e")


def _needs_server(item: pytest.Item) -> bool:
    asked = set(getattr(item, "fixturenames", ()))
    return bool(asked & SERVERS) or _is_marked(item, "django_db")


def _is_marked(item: pytest.Item, *names: str) -> bool:
    return any(item.get_closest_marker(name) for name in names)


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Set the product up before any conftest is read: those of its folders import models."""
    if not asks_libraries_alone(early_config):
        early_config.pluginmanager.import_plugin("tests.installation")


def asks_libraries_alone(config: pytest.Config) -> bool:
    """Whether all tests that are asked for are those of libraries."""
    folder = config.invocation_params.dir
    asked = config.known_args_namespace.file_or_dir or [str(folder)]
    paths = [(folder / one.partition("::")[0]).resolve() for one in asked]
    return all(any(path.is_relative_to(one) for one in LIBRARIES) for path in paths)

"""The search space: which entries of a task file may vary, over which values."""

import itertools
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ml.errors import SearchSpaceInvalid
from ml.workshop.task_config import TaskConfig, load_task
from ml.workshop.task_tables import TASKS_DIR

Value = str | float | int | bool
Point = dict[str, Value]
Numbers = FloatDistribution | IntDistribution

SPACES_DIR = TASKS_DIR / "search"
# Everything else of a task file doesn't shape the network.
SECTIONS = ("input", "model", "augmentation", "training")
# The yardstick, or luck: a search over them would choose what flatters the figure.
NEVER = {
    "training.monitor": "it is what trials are compared by",
    "training.seed": "the luckiest seed is no better recipe; use --seeds",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry's values: `choices`, or the range from `low` to `high`.

    A range is searched on a logarithmic scale with `log`, and in multiples of `step` if given.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: list[Value] | None = None


@dataclass(frozen=True, slots=True)
class Space:
    """Optuna's distribution for each `section.entry`."""

    distributions: dict[str, BaseDistribution]

    def list_grid(self) -> list[Point]:
        """Every combination, the last entry varying fastest.

        Raises SearchSpaceInvalid for a range without a step: it has no end of values.
        """
        columns = [_list_values(name, one) for name, one in self.distributions.items()]
        return [
            dict(zip(self.distributions, values, strict=True))
            for values in itertools.product(*columns)
        ]

    def describe(self) -> dict[str, str]:
        """The values of each entry, to be read and to be compared with another space."""
        return {name: str(one) for name, one in self.distributions.items()}


def find_space(task: str) -> Path:
    """Path of the search space that ships for that task."""
    return SPACES_DIR / f"{task}.toml"


def read_space(path: Path | None, grid: Sequence[str], config: TaskConfig) -> Space:
    """The space of a file, with the `section.entry=[values]` of `grid` added or put in its place.

    Raises SearchSpaceInvalid; whether the task accepts the values is for `check_space`.
    """
    tables = _read_file(path) if path else {}
    for pair in grid:
        name, _, text = pair.partition("=")
        tables[name.strip()] = {"choices": _parse_choices(name, text)}
    if not tables:
        raise SearchSpaceInvalid(detail="it names no entry")
    return Space({name: _read_entry(name, table, config) for name, table in tables.items()})


def _read_file(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SearchSpaceInvalid(detail=f"{path}: {error}") from error
    search = table.get("search")
    if set(table) != {"search"} or not isinstance(search, dict):
        raise SearchSpaceInvalid(detail=f"{path} must hold the table [search] and nothing else")
    return search


def _parse_choices(name: str, text: str) -> list[Value]:
    try:
        values = tomllib.loads(f"values = {text}")["values"]
    except tomllib.TOMLDecodeError as error:
        raise SearchSpaceInvalid(detail=f"{name}={text}: {error}") from error
    return values if isinstance(values, list) else [values]


def _read_entry(name: str, table: Mapping[str, Any], config: TaskConfig) -> BaseDistribution:
    current = find_value(name, config)
    if not isinstance(table, Mapping):
        raise SearchSpaceInvalid(detail=f'{name}: write it as "{name}" = {{ … }}, in quotes')
    try:
        entry = Entry(**table)
        if entry.choices is not None:
            return _read_choices(entry)
        return _read_range(entry, is_whole=isinstance(current, int))
    except (TypeError, ValueError) as error:
        raise SearchSpaceInvalid(detail=f"{name}: {error}") from error


def _read_choices(entry: Entry) -> BaseDistribution:
    choices = entry.choices
    if entry != Entry(choices=choices):
        raise ValueError("choices stand alone")
    if not isinstance(choices, list) or not choices:
        raise ValueError("choices must be a list of one value or more")
    if not all(isinstance(one, str | int | float) for one in choices):
        raise ValueError("choices must be texts, numbers or true and false")
    return CategoricalDistribution(choices)


def _read_range(entry: Entry, *, is_whole: bool) -> BaseDistribution:
    if entry.low is None or entry.high is None:
        raise ValueError("give low and high, or choices")
    if not entry.low < entry.high:
        raise ValueError("low must lie below high")
    if is_whole:
        ends = (entry.low, entry.high, entry.step or 1)
        if any(value != int(value) for value in ends):
            raise ValueError("this entry takes whole numbers")
        low, high, step = (int(value) for value in ends)
        return IntDistribution(low, high, log=entry.log, step=step)
    return FloatDistribution(entry.low, entry.high, log=entry.log, step=entry.step)


def find_value(name: str, config: TaskConfig) -> Value:
    """The task's own value of `section.entry`; raises SearchSpaceInvalid if it can't be searched.

    What measures the trials can't be searched either. The losses are weighted by
    `training.balance_power`, and `robust_loss` is taken on augmented images: a search over those
    would find the easiest examination, not the best network.
    """
    section, _, entry = name.partition(".")
    if section not in SECTIONS or not hasattr(getattr(config, section), entry):
        raise SearchSpaceInvalid(detail=f"{name} is no entry of {', '.join(SECTIONS)}")
    monitor = config.training.monitor
    reason = NEVER.get(name)
    if name == "training.balance_power" and monitor.endswith("loss"):
        reason = f"it weights {monitor}; choose another --set training.monitor"
    if section == "augmentation" and monitor == "robust_loss":
        reason = "it shapes robust_loss; choose another --set training.monitor"
    if reason:
        raise SearchSpaceInvalid(detail=f"{name} can't be searched: {reason}")
    value: Value = getattr(getattr(config, section), entry)
    return value


def check_space(space: Space, path: Path, overrides: Mapping[str, Any]) -> None:
    """Load the task with the ends of every range and with every choice, before any trial.

    Raises TaskConfigInvalid for the first value that the task refuses.
    """
    for name, distribution in space.distributions.items():
        if isinstance(distribution, Numbers):
            values: list[Any] = [distribution.low, distribution.high]
        else:
            values = _list_values(name, distribution)
        for value in values:
            load_task(path, overrides={**overrides, name: value})


def _list_values(name: str, distribution: BaseDistribution) -> list[Value]:
    if isinstance(distribution, CategoricalDistribution):
        return [value for value in distribution.choices if value is not None]
    numbers = cast(Numbers, distribution)
    if numbers.step is None or numbers.log:
        raise SearchSpaceInvalid(detail=f"{name}: a grid needs choices or a step")
    count = math.floor((numbers.high - numbers.low) / numbers.step + 1e-9) + 1
    # Rounded, because 3 x 0.1 is not 0.3 in binary.
    return [round(numbers.low + index * numbers.step, 12) for index in range(count)]


def tidy_point(params: Mapping[str, Any]) -> Point:
    """The values of a trial with 12 significant digits: 0.3, not 0.30000000000000004."""
    return {
        name: float(f"{value:.12g}") if isinstance(value, float) else value
        for name, value in params.items()
    }


def write_overrides(point: Mapping[str, Value]) -> list[str]:
    """Each entry as `section.entry=value`: a line of TOML, and what `train --set` takes."""
    return [f"{name}={_write_value(value)}" for name, value in point.items()]


def _write_value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)

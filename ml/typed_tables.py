"""Builds frozen dataclasses from TOML and JSON tables, refusing whatever they don't declare."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Built = TypeVar("Built")

# How alike two names must be for the one to be meant by the other.
NEARNESS = 0.7
# What people call a kind of value, and what stands in for one that is missing or wrong.
KINDS: dict[Any, tuple[str, Any]] = {
    int: ("whole number", 0),
    float: ("number", 0.0),
    str: ("text in quotes", ""),
    bool: ("true or false", False),
    tuple: ("list", ()),
    list: ("list", []),
    dict: ("table", {}),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an entry; `place` is its path, such as `training.epochs`."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class EntriesInvalid(ValueError):
    """A table that can't be built, with everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


def build_typed(kind: type[Built], table: Mapping[str, Any]) -> Built:
    """A dataclass of `kind` with the table's values, its nested dataclasses included.

    Only what has a default may be missing. Raises EntriesInvalid, a ValueError, for missing or
    unknown entries and for values of another type.
    """
    built, problems = build_partly(kind, table)
    if problems:
        raise EntriesInvalid(problems)
    return built


def build_partly(
    kind: type[Built], table: Mapping[str, Any], where: str = ""
) -> tuple[Built, list[Problem]]:
    """The dataclass, and what is wrong with the table.

    An entry with a problem holds an empty value: so what else is wrong can still be found.
    """
    work = _Work(kind)
    return work.build(kind, table, where), work.problems


def suggest_name(name: str, known: Iterable[str]) -> str:
    """The nearest known name as half a sentence, or nothing when none is near."""
    near = difflib.get_close_matches(str(name), list(known), 1, NEARNESS)
    return f"; did you mean {near[0]}?" if near else ""


class _Work:
    """One table being built: what is wrong with it so far, and which table declares which entry."""

    def __init__(self, kind: Any) -> None:
        self.problems: list[Problem] = []
        self._homes = {
            entry: section
            for section, hint in get_type_hints(kind).items()
            if dataclasses.is_dataclass(hint)
            for entry in get_type_hints(hint)
        }

    def build(self, kind: Any, table: Any, where: str) -> Any:
        hints = get_type_hints(kind)
        if not isinstance(table, Mapping):
            self._note(where or "file", f"{table!r} is no table")
            return _stand_in(kind)
        prefix = f"{where}." if where else ""
        for name in sorted(set(table) - set(hints), key=str):
            self._note(f"{prefix}{name}", f"unknown entry{self._find_home(name, hints, prefix)}")
        values: dict[str, Any] = {}
        for field in dataclasses.fields(kind):
            hint, place = hints[field.name], f"{prefix}{field.name}"
            if field.name in table:
                values[field.name] = self._convert(hint, table[field.name], place)
            elif _has_default(field):
                continue
            else:
                self._note(place, _describe_missing(hint, place))
                values[field.name] = _stand_in(hint)
        return kind(**values)

    def _convert(self, hint: Any, value: Any, where: str) -> Any:
        if dataclasses.is_dataclass(hint):
            return self.build(hint, value, where)
        origin, inner = get_origin(hint), get_args(hint)
        if origin is UnionType:
            if value is None and NoneType in inner:
                return None
            # Of a choice of types the one that the value has, where it is a plain one.
            kind = next((one for one in inner[1:] if type(value) is one), inner[0])
            return self._convert(kind, value, where)
        if origin in (tuple, list) and isinstance(value, list | tuple):
            return origin(
                self._convert(inner[0], item, f"{where}[{number}]")
                for number, item in enumerate(value, start=1)
            )
        if origin is dict and isinstance(value, Mapping):
            return {
                str(key): self._convert(inner[1], item, f"{where}.{key}")
                for key, item in value.items()
            }
        if hint is float and type(value) is int:
            return float(value)
        if origin or type(value) is not hint:
            article = "not" if hint in (str, bool) else "no"
            self._note(where, f"{value!r} is {article} {_find_kind(hint)[0]}")
            return _stand_in(hint)
        return value

    def _note(self, place: str, text: str) -> None:
        self.problems.append(Problem(place, text))

    def _find_home(self, name: str, hints: Mapping[str, Any], prefix: str) -> str:
        """Where an unknown entry may belong: a name like it, or a table whose header was lost."""
        if near := suggest_name(name, hints):
            return near
        tables = [f"[{prefix}{one}]" for one, hint in hints.items() if get_origin(hint) is dict]
        if home := self._homes.get(name):
            tables = [f"[{home}]"]
        if not tables:
            return f"; there are {', '.join(hints)}"
        return f"; if it belongs to {' or '.join(tables)}, that header is missing above it"


def _has_default(field: "dataclasses.Field[Any]") -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _stand_in(hint: Any) -> Any:
    """An empty value of a type."""
    if not dataclasses.is_dataclass(hint):
        return _find_kind(hint)[1]
    hints = get_type_hints(hint)
    needed = [field for field in dataclasses.fields(hint) if not _has_default(field)]
    build: Any = hint
    return build(**{field.name: _stand_in(hints[field.name]) for field in needed})


def _find_kind(hint: Any) -> tuple[str, Any]:
    """Name and empty value of a type; of a choice of types the first one's."""
    origin = get_origin(hint)
    return _find_kind(get_args(hint)[0]) if origin is UnionType else KINDS[origin or hint]


def _describe_missing(hint: Any, place: str) -> str:
    if dataclasses.is_dataclass(hint) or get_origin(hint) is dict:
        return f"missing: the table with the header [{place}]"
    return f"missing: {_find_kind(hint)[0]}"

"""Builds frozen dataclasses from TOML and JSON tables, refusing whatever they don't declare."""

import dataclasses
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Built = TypeVar("Built")


def build_typed(kind: type[Built], table: Mapping[str, Any], where: str = "") -> Built:
    """A dataclass of `kind` with the table's values, its nested dataclasses included.

    Only what has a default may be missing. Raises ValueError for missing or unknown entries,
    TypeError for a value of another type.
    """
    if not isinstance(table, Mapping):
        raise TypeError(f"{where or 'file'}: {table!r} is not a table")
    hints = get_type_hints(kind)
    unknown, missing = sorted(set(table) - set(hints)), sorted(_required(kind) - set(table))
    if unknown or missing:
        raise ValueError(f"{where or 'file'}: unknown {unknown}, missing {missing}")
    return kind(**{name: _convert(hints[name], table[name], f"{where}{name}") for name in table})


def _required(kind: Any) -> set[str]:
    missing = dataclasses.MISSING
    return {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is missing and field.default_factory is missing
    }


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build_typed(hint, value, f"{where}.")
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return None if value is None and NoneType in inner else _convert(inner[0], value, where)
    if origin in (tuple, list) and isinstance(value, list | tuple):
        return origin(_convert(inner[0], item, where) for item in value)
    if origin is dict and isinstance(value, Mapping):
        return {str(key): _convert(inner[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    if origin or type(value) is not hint:
        raise TypeError(f"{where}: {value!r} is not {hint}")
    return value

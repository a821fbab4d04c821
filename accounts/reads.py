"""What each view declares about the patient data that its answers show.

Beside its `verb` a view names `reads`: the actions of the trail with which its answers are told,
or NOTHING where they show no patient's data; by action (view sets) or method where that differs.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.urls import URLPattern, URLResolver

from accounts.actions import AuditAction

Declared = frozenset[AuditAction]
Reads = Declared | Mapping[str, Declared]
NOTHING: Declared = frozenset()
"""No patient's data is shown."""
WITHOUT_DATA = frozenset({"options", "trace"})
METHODS = ("get", "post", "put", "patch", "delete")


def told_by(*actions: AuditAction) -> Declared:
    """At least one of these actions is in the trail when an answer leaves."""
    return frozenset(actions)


def reads_nothing(view: Any) -> Any:
    """Declare of a view that is a function that it shows no patient's data."""
    view.reads = NOTHING
    return view


def declared_reads(view: Any, method: str) -> Declared | None:
    """What a view declares for a method, by the callable in the URL map; None if it forgot."""
    if method.lower() in WITHOUT_DATA:
        return NOTHING
    declared = getattr(_class_of(view) or view, "reads", None)
    if not isinstance(declared, Mapping):
        return declared
    stated, method = method.lower(), "get" if method.lower() == "head" else method.lower()
    action = (getattr(view, "actions", None) or {}).get(method)
    for name in (stated, action, method):
        if name in declared:
            found: Declared = declared[name]
            return found
    return None


def forgotten_reads(
    patterns: list[URLPattern | URLResolver], namespaces: tuple[str, ...] = ()
) -> Iterator[str]:
    """Name each view and method below `patterns` that declares nothing about what it shows."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = (pattern.namespace,) if pattern.namespace else ()
            yield from forgotten_reads(pattern.url_patterns, namespaces + inner)
            continue
        name = ":".join((*namespaces, pattern.name or str(pattern.pattern)))
        for method in _methods_of(pattern.callback):
            if declared_reads(pattern.callback, method) is None:
                yield f"{method} {name}"


def _class_of(view: Any) -> Any:
    return getattr(view, "cls", None) or getattr(view, "view_class", None)


def _methods_of(view: Any) -> list[str]:
    actions = getattr(view, "actions", None)
    if actions:
        return [method for method in METHODS if method in actions]
    owner = _class_of(view)
    return [method for method in METHODS if owner is None or hasattr(owner, method)]

"""What a request may say beside its address: nothing that its view doesn't declare.

Beside `verb` and `reads` a view names `parameters`, the query parameters that it takes, and a page
that is posted to names `posted`, its fields; by action (view sets) or method where that differs.
A view that names none takes none, so a later one is strict from its first day. The fields of its
`form_class` and of its `filter_form_class`, and a list's own ways of paging, need no word.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from django import forms
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict

MULTIPLE = (forms.MultipleChoiceField, forms.ModelMultipleChoiceField)
FORM_TOKEN = "csrfmiddlewaretoken"  # noqa: S105 - the field's name
CURSOR = "cursor"
SEARCH = "s"
"""Names a search that was posted, by its id."""
PAGE_SIZE = "page_size"

UNKNOWN = "unknown", "Nothing of that name is known here."
REPEATED = "repeated", "It is given more than once."
BLANK = "blank", "It is empty. Leave it out, or say what you want."
NUL = "null_characters_not_allowed", "It holds a NUL character."
ENCODING = "encoding", "It is not UTF-8."


@dataclass(frozen=True, slots=True)
class Takes:
    """Names that are taken, and those of them that may come more than once.

    A name with `ending` is taken too: a form for each of several rows puts the row's id before
    it. `is_open` leaves the names to the view itself, which refuses the unknown ones.
    """

    names: frozenset[str] = frozenset()
    repeatable: frozenset[str] = frozenset()
    ending: str = ""
    is_open: bool = False

    def knows(self, name: str) -> bool:
        """Whether a name is taken."""
        is_row = bool(self.ending) and name.endswith(self.ending)
        return self.is_open or is_row or name in self.names

    def __or__(self, other: "Takes") -> "Takes":
        """What either takes."""
        return Takes(
            self.names | other.names,
            self.repeatable | other.repeatable,
            self.ending or other.ending,
            self.is_open or other.is_open,
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one parameter or field; `name` is a stranger's word."""

    name: str
    code: str
    words: str


Parameters = Takes | Mapping[str, Takes]
NOTHING_TAKEN = Takes()


def takes(
    *names: str,
    repeatable: Iterable[str] = (),
    form: type[forms.BaseForm] | None = None,
    ending: str = "",
    is_open: bool = False,
) -> Takes:
    """Declare names, or all fields of a form."""
    several = frozenset(repeatable)
    found = Takes(frozenset(names) | several, several, ending, is_open)
    return found | fields_of(form) if form else found


def fields_of(form: type[forms.BaseForm]) -> Takes:
    """The names of a form's fields."""
    fields: Mapping[str, forms.Field] = form.base_fields  # type: ignore[attr-defined]  # its metaclass makes them
    several = {name for name, field in fields.items() if isinstance(field, MULTIPLE)}
    return Takes(frozenset(fields), frozenset(several))


def taken_parameters(view: Any, method: str) -> Takes:
    """The query parameters that a view takes for a method, by the callable in the URL map."""
    owner = _class_of(view) or view
    found = _declared(view, owner, "parameters", method)
    action = (getattr(view, "actions", None) or {}).get(_plain(method))
    is_page_list = action is None and _plain(method) == "get"
    form = getattr(owner, "filter_form_class", None)
    if form and (action == "list" or is_page_list):
        found |= fields_of(form)
    if form and is_page_list:
        found |= takes(SEARCH)
    if action == "list" and getattr(owner, "pagination_class", None):
        found |= takes(CURSOR, PAGE_SIZE)
    return found


def handles(view: Any, method: str) -> bool:
    """Whether a view has the method at all; who asks for one that it hasn't is told just that."""
    actions = getattr(view, "actions", None)
    name = _plain(method)
    if actions is not None:
        return name == "options" or name in actions
    owner = _class_of(view)
    return owner is None or hasattr(owner, name)


def taken_fields(view: Any, method: str) -> Takes:
    """The fields that a page takes when it is posted to."""
    owner = _class_of(view) or view
    found = _declared(view, owner, "posted", method) | takes(FORM_TOKEN)
    if form := getattr(owner, "form_class", None):
        found |= fields_of(form)
    if form := getattr(owner, "filter_form_class", None):
        found |= fields_of(form) | takes(CURSOR)
    return found


def faults_of(
    given: MultiValueDict[str, Any], taken: Takes, *, may_be_blank: bool = False
) -> Iterator[Fault]:
    """Find what a view doesn't take among parameters or fields."""
    for name, values in given.lists():
        if not taken.knows(name):
            yield Fault(name, *UNKNOWN)
        elif "\0" in name or any("\0" in str(value) for value in values):
            yield Fault(name, *NUL)
        elif not taken.is_open and len(values) > 1 and name not in taken.repeatable:
            yield Fault(name, *REPEATED)
        elif not may_be_blank and not all(str(value).strip() for value in values):
            yield Fault(name, *BLANK)


def faults_of_query(query: str, given: QueryDict, taken: Takes) -> Iterator[Fault]:
    """The same for an address, which has to be UTF-8 as well."""
    yield from faults_of(given, taken)
    for pair in query.split("&"):
        try:
            unquote_to_bytes(pair.replace("+", " ")).decode()
        except UnicodeDecodeError:
            yield Fault("", *ENCODING)


def _declared(view: Any, owner: Any, name: str, method: str) -> Takes:
    declared = getattr(owner, name, NOTHING_TAKEN)
    if isinstance(declared, Takes):
        return declared
    action = (getattr(view, "actions", None) or {}).get(_plain(method))
    for key in (action, _plain(method)):
        if key in declared:
            found: Takes = declared[key]
            return found
    return NOTHING_TAKEN


def _plain(method: str) -> str:
    method = method.lower()
    return "get" if method == "head" else method


def _class_of(view: Any) -> Any:
    return getattr(view, "cls", None) or getattr(view, "view_class", None)

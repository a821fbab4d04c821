"""A list whose model has an order keeps it, whatever is added to its rows."""

import inspect

import pytest
from django.apps import apps

from accounts.models import User

LISTS = [
    pytest.param(model, name, id=f"{model.__name__}.{name}")
    for label in ("accounts", "records", "classifier")
    for model in apps.get_app_config(label).get_models()
    if model._meta.ordering
    for name in dir(model._default_manager)
    if name.startswith("with_") and "perm" not in name
]


def test_there_are_lists() -> None:
    assert len(LISTS) > 8


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "name"), LISTS)
def test_what_is_added_keeps_the_order(model, name):
    method = getattr(model._default_manager, name)
    words = inspect.signature(method).parameters
    assert list(words) in ([], ["user"]), f"say what {name} takes"

    rows = method(*([User()] if words else []))

    assert rows.ordered
    list(rows)

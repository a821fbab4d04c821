"""The API's document, read as a stranger's program reads it: nothing bare, nothing left out."""

import copy
import itertools
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml
from django.urls import get_resolver

from tests.product import ROOT

OF_EVERY_OPERATION = {"400", "401", "403", "429", "500", "503"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def follow(document: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to."""
    if "$ref" not in found:
        return found
    here: Any = document
    for step in found["$ref"].removeprefix("#/").split("/"):
        here = here[step]
    return here


def checker(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    whole = copy.deepcopy(schema) | {"components": document["components"]}
    return jsonschema.Draft202012Validator(
        whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def bare_places(schema: Any, path: str = "") -> Iterator[str]:
    """Where anything at all may stand, by the schema."""
    if not isinstance(schema, dict):
        return
    says = {"type", "$ref", "oneOf", "anyOf", "allOf", "enum", "const"} & schema.keys()
    if not says:
        yield path
    if schema.get("type") == "object" and not {"properties", "additionalProperties"} & set(schema):
        yield path
    for name, inner in schema.get("properties", {}).items():
        yield from bare_places(inner, f"{path}.{name}")
    if "items" in schema:
        yield from bare_places(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        inner = schema["additionalProperties"]
        yield from bare_places(inner, f"{path}.*") if inner else iter((f"{path}.*",))


def test_every_operation_names_its_refusals_and_headers(document):
    for path, method, operation in operations(document):
        where = f"{method} {path}"
        answers = operation["responses"]
        assert answers.keys() >= OF_EVERY_OPERATION, where
        assert "404" in answers or "{" not in path, where
        assert "409" in answers or method in {"get", "head"} or path.endswith("/search/"), where
        if "requestBody" in operation:
            assert {"408", "413", "415"} <= answers.keys(), where
            assert operation["requestBody"]["required"], where
        for status, answer in answers.items():
            found = follow(document, answer)
            assert "X-Request-ID" in found["headers"], (where, status)
            if status >= "400" and method != "head":
                content = found["content"]["application/problem+json"]
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, where
            if status in {"429", "503"} and method != "head":
                assert "Retry-After" in found["headers"]
        assert method == "head" or "WWW-Authenticate" in follow(document, answers["401"])["headers"]


def test_names_are_what_a_person_would_write_and_each_is_one_operations(document):
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    for name in names:
        words = name.split("_")
        assert len(words) > 1
        assert not {"create", "retrieve", "list", "destroy"} & set(words[1:]), name
    schemas = document["components"]["schemas"]
    assert not [name for name in schemas if "RequestRequest" in name or "ListList" in name]


def test_nothing_is_of_any_type(document):
    # What stands in an event's details differs from action to action, and in a manifest too.
    may_be_anything = {"AuditEvent.details.*"}
    found = itertools.chain.from_iterable(
        bare_places(schema, name) for name, schema in document["components"]["schemas"].items()
    )
    assert set(found) <= may_be_anything


def test_every_field_of_an_answer_is_always_there(document):
    for name, schema in document["components"]["schemas"].items():
        if name.endswith("Request") or name in {"Problem"} or "properties" not in schema:
            continue
        assert set(schema["required"]) == set(schema["properties"]), name


def test_examples_are_what_the_schemas_say(document):
    seen = 0
    for _, _, operation in operations(document):
        places = [operation.get("requestBody", {})] + [
            follow(document, answer) for answer in operation["responses"].values()
        ]
        contents = (one.get("content", {}).values() for one in places)
        for content in itertools.chain.from_iterable(contents):
            if "example" in content:
                seen += 1
                checker(document, content["schema"]).validate(content["example"])
    assert seen > 100
    for name in ("create_submission", "review_classification", "create_token"):
        assert any(
            operation["operationId"] == name and "example" in str(operation)
            for _, _, operation in operations(document)
        )


def test_blank_and_null_are_among_what_an_answer_may_hold(document):
    """Each field that a model may leave blank or null says so, whichever serializer names it."""
    schemas = document["components"]["schemas"]
    for name, field, value in (
        ("Classification", "confidence", ""),
        ("Classification", "abstention", ""),
        ("Classification", "outcome", None),
        ("Hold", "lifted_by", None),
        ("QuarantinedFile", "sent_by", None),
        ("AuditEvent", "actor_id", None),
        ("Instance", "damage", ""),
        ("Study", "study_time", None),
        ("Study", "study_time", "07:27:30"),
        ("Patient", "sex", ""),
        ("DeletedStudy", "deleted_by", None),
    ):
        checker(document, schemas[name]["properties"][field]).validate(value)
    with pytest.raises(jsonschema.ValidationError):
        checker(document, schemas["Study"]["properties"]["study_time"]).validate("7:27")


def test_every_address_of_the_api_is_in_it_and_ids_are_uuids(document):
    described = {re.sub(r"{\w+}", "{}", path) for path, _, _ in operations(document)}
    asked = {re.sub(r"<[^>]+>", "{}", route) for route in routes(get_resolver().url_patterns)}
    assert {f"/{route}" for route in asked if route.startswith("api/v1/")} == described
    for path, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                assert parameter["schema"].get("format") == "uuid", path


def routes(patterns: list[Any], before: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route

"""The statement says what the service does, because both are made from the same tables."""

import re

import pytest
from django.urls import get_resolver

from records import errors
from records.dicomweb.views import storing
from records.failure_reasons import FAILURE_REASONS

pytestmark = pytest.mark.django_db


def test_capabilities_list_every_address(browser):
    services = browser.get("/dicomweb/").json()["services"]

    stated = {resource for service in services for resource in service["resources"]}
    (below,) = [each for each in get_resolver().url_patterns if str(each.pattern) == "dicomweb/"]
    served = {"/" + re.sub(r"<\w+:(\w+)>", "{}", str(each.pattern)) for each in below.url_patterns}
    assert {re.sub(r"{\w+}", "{}", resource) for resource in stated} == served


def test_capabilities_tell_apart_what_is_matched(browser):
    attributes = browser.get("/dicomweb/").json()["query_attributes"]
    matched = {each["tag"] for each in attributes if each["matching"] != "returned only"}

    for tag in {each["tag"] for each in attributes}:
        status = browser.get("/dicomweb/instances", {tag: "*"}).status_code
        assert status == (204 if tag in matched else 400)


def test_capabilities_are_given_to_options_too(browser):
    assert browser.options("/dicomweb/").json() == browser.get("/dicomweb/").json()


def test_conformance_page_names_what_senders_need(browser):
    page = browser.get("/dicomweb/conformance").content.decode()

    for words in (*storing.DEPARTMENT, *storing.EXPECTED, "JPEG 2000", "ModalitiesInStudy"):
        assert words in page


def test_every_refusal_of_a_file_has_a_failure_reason_of_its_own():
    """What is left out here is answered as a processing failure: no object meets it."""
    codes = {kind.code for kind in errors.FileRejected.__subclasses__()}
    archives = {code for code in codes if code.startswith("zip_")}
    assert codes - set(FAILURE_REASONS) == archives | {
        "system_file",
        "upload_cancelled",
        "upload_not_taken",
        "upload_unfinished",
    }

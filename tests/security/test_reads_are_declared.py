"""A view that doesn't say what it shows can't start; one that doesn't tell is held back."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse
from django.urls import get_resolver, path
from django.views import View
from rest_framework.views import APIView

from accounts.models import AuditEvent
from accounts.reads import NOTHING, forgotten_reads, reads_nothing, told_by
from accounts.roles import Role
from medimaging import urls
from records.choices import Action
from records.views.studies import StudyDetailView
from tests.factories import make_department, make_study, make_user
from tests.product import ROOT

FORGETFUL = """
from django.http import HttpResponse
from django.urls import path
from django.views import View
from medimaging.urls import *

class Forgetful(View):
    def get(self, request):
        return HttpResponse("Muster, Erika")

urlpatterns = [*urlpatterns, path("forgetful/", Forgetful.as_view(), name="forgetful")]
"""


class Told(View):
    reads = told_by(Action.STUDY_VIEWED)

    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("Muster, Erika")


class ToldInPart(APIView):
    reads = {"get": NOTHING}

    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@pytest.fixture
def reader(client, db):
    client.force_login(make_user(Role.REVIEWER, department=make_department()))
    return client


def test_every_address_of_ours_is_declared():
    assert list(forgotten_reads(get_resolver().url_patterns)) == []
    assert not [error for error in run_checks() if error.id == "medimaging.E006"]


def test_a_view_a_method_or_a_function_that_forgets_is_found():
    addresses = [
        path("view/", View.as_view(), name="nothing-to-ask"),
        path("told/", Told.as_view(), name="told"),
        path("part/", ToldInPart.as_view(), name="part"),
        path("plain/", plain, name="plain"),
    ]
    found = set(forgotten_reads(addresses))
    assert found >= {"post part", "get plain"}
    assert not any("told" in words or words == "get part" for words in found)


def test_a_function_that_shows_nothing_says_so():
    assert not list(forgotten_reads([path("", reads_nothing(lambda request: None), name="x")]))


def test_the_server_refuses_to_start_with_a_view_that_forgets(tmp_path: Path):
    (tmp_path / "forgetful_urls.py").write_text(FORGETFUL)
    (tmp_path / "forgetful_settings.py").write_text(
        "from medimaging.settings import *\nROOT_URLCONF = 'forgetful_urls'\n"
    )
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "forgetful_settings",
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
    }
    command = [sys.executable, "-c", "import medimaging.wsgi"]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "get forgetful" in done.stderr


def test_an_answer_that_nobody_told_is_held_back(reader, settings):
    addresses = ModuleType("addresses_with_one_more")
    addresses.urlpatterns = [*urls.urlpatterns, path("t/", Told.as_view(), name="t")]
    addresses.handler500 = urls.handler500
    settings.ROOT_URLCONF = addresses
    answer = reader.get("/t/")
    assert answer.status_code == 500
    assert b"Muster" not in answer.content


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_page_whose_word_was_left_out_is_held_back(reader, monkeypatch, headers):
    study = make_study(department=reader.get("/").wsgi_request.user.departments_held[0])
    monkeypatch.setattr("records.views.studies.record_access", lambda **_: None)
    assert StudyDetailView.reads

    answer = reader.get(study.get_absolute_url(), headers=headers)

    assert answer.status_code == 500
    assert study.patient.display_name not in answer.content.decode()
    assert not AuditEvent.objects.filter(action=Action.STUDY_VIEWED).exists()

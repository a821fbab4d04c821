"""Back, reload and a second tab find a search again; nobody else does, and no address names it."""

import datetime as dt
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, RecentSearch
from accounts.roles import Role
from accounts.services import sweep_searches
from tests.factories import make_department, make_patient, make_study, make_user

LISTS = {
    "records:study-list": "studies",
    "records:patient-list": "patients",
    "classifier:worklist": "classifications",
    "records:deleted-study-list": "studies",
}


@pytest.fixture
def department(db):
    return make_department("Radiology")


@pytest.fixture
def reader(client, department):
    client.force_login(make_user(Role.REVIEWER, department=department))
    return client


@pytest.fixture
def petrov(department):
    patient = make_patient(mrn="P-77", name="Petrov^Ivan", birth_date=dt.date(1951, 7, 11))
    make_study(department=department, images=0)
    return make_study(department=department, patient=patient, images=0)


def search(client, name, **fields):
    answer = client.post(reverse(name), fields)
    assert answer.status_code == 303
    return answer["Location"]


@pytest.mark.parametrize("name", LISTS)
def test_address_of_a_search_opens_again_and_holds_no_name(reader, petrov, name):
    address = search(reader, name, q="Petrov")
    assert "petrov" not in address.lower()
    for _ in range(3):
        page = reader.get(address)
        assert page.status_code == 200
        assert 'value="Petrov"' in page.content.decode()


def test_two_tabs_keep_their_own_searches(reader, petrov):
    mine = search(reader, "records:study-list", q="Petrov")
    none = search(reader, "records:study-list", q="nobody")
    assert list(reader.get(mine).context["studies"]) == [petrov]
    assert list(reader.get(none).context["studies"]) == []
    assert list(reader.get(mine).context["studies"]) == [petrov]


@pytest.mark.parametrize("text", ["petrov ivan", "P-77", "1951-07-11", "11.07.1951", "11 Jul 1951"])
def test_people_are_found_by_what_is_known_of_them(reader, petrov, text):
    studies = reader.get(search(reader, "records:study-list", q=text)).context["studies"]
    patients = reader.get(search(reader, "records:patient-list", q=text)).context["patients"]
    assert list(studies) == [petrov]
    assert list(patients) == [petrov.patient]


def test_somebody_else_s_search_shows_nobody(reader, petrov, department):
    address = search(reader, "records:study-list", q="Petrov")
    other = Client()
    other.force_login(make_user(Role.REVIEWER, department=department))
    page = other.get(address)
    assert list(page.context["studies"]) == []
    assert "Search again" in page.content.decode()


def test_search_of_another_list_an_unknown_one_and_an_old_one_show_nobody(reader, petrov):
    address = search(reader, "records:study-list", q="Petrov")
    query = urlsplit(address).query
    strange = [
        f"{reverse('records:patient-list')}?{query}",
        f"{reverse('records:study-list')}?s=nonsense",
    ]
    for one in strange:
        page = reader.get(one)
        rows = page.context["patients"] if "patients" in page.context else page.context["studies"]
        assert list(rows) == [], one

    RecentSearch.objects.update(created_at=timezone.now() - dt.timedelta(hours=25))
    assert list(reader.get(address).context["studies"]) == []
    assert sweep_searches() == 1
    assert not RecentSearch.objects.exists()


def test_what_was_searched_for_is_nowhere_in_the_clear(reader, petrov):
    search(reader, "records:study-list", q="Petrov")
    (row,) = RecentSearch.objects.values_list("sealed", "place")
    assert "Petrov" not in str(row)
    assert not AuditEvent.objects.filter(details__icontains="petrov").exists()


def test_each_look_at_a_search_is_told(reader, petrov):
    address = search(reader, "records:study-list", q="Petrov")
    before = AuditEvent.objects.filter(action="studies.searched").count()
    reader.get(address)
    reader.get(address)
    told = AuditEvent.objects.filter(action="studies.searched")
    assert told.count() == before + 2
    assert told[0].searched


def test_empty_search_leads_back_to_the_list(reader):
    assert search(reader, "records:study-list", q="") == reverse("records:study-list")

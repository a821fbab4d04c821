"""DICOM nodes: what an administrator may enter, and what becomes of it in the trail."""

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from accounts.audit import bind_request_context
from accounts.models import AuditEvent
from accounts.roles import Role
from accounts.services.refusals import MOST_CALLERS
from records.choices import Action
from records.errors import NodeTitleTaken
from records.models import DicomNode
from records.services import add_node, note_refused_association, remove_node, update_node
from tests.factories import make_node, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator():
    return make_user(Role.ADMINISTRATOR)


def events(action: Action):
    return AuditEvent.objects.filter(action=action)


@pytest.mark.parametrize(
    ("entry", "caller", "expected"),
    [
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.30", False),
        ("10.1.2.0/24", "10.1.2.77", True),
        ("10.1.2.0/24", "10.1.3.1", False),
        ("10.1.2.0/24", "::ffff:10.1.2.77", True),
        ("fd00::/8", "fd00::1", True),
        ("fd00::/8", "10.1.2.3", False),
    ],
)
def test_calls_from_knows_addresses_and_networks(department, entry, caller, expected):
    node = make_node(department=department, addresses=["192.0.2.1", entry])
    assert node.calls_from(caller) is expected


@pytest.mark.parametrize(
    "values",
    [
        {"ae_title": ""},
        {"ae_title": "SEVENTEEN-LETTERS"},
        {"ae_title": "BACK\\SLASH"},
        {"ae_title": " BLANK"},
        {"addresses": []},
        {"addresses": ["any"]},
        {"host": "pacs"},
        {"port": 104},
        {"host": "pacs", "port": 70000},
    ],
)
def test_add_node_refuses_impossible_values(administrator, department, values):
    given = {"ae_title": "CT1", "addresses": ["10.0.0.1"], "department": department}
    with pytest.raises(ValidationError):
        add_node(actor=administrator, **{**given, **values})
    assert not DicomNode.objects.exists()
    assert not events(Action.NODE_CREATED).exists()


def test_add_node_refuses_an_ae_title_that_is_taken(administrator, department):
    make_node(department=department, ae_title="CT1")
    with pytest.raises(NodeTitleTaken):
        add_node(actor=administrator, ae_title="CT1", addresses=["10.0.0.1"], department=department)
    assert not events(Action.NODE_CREATED).exists()


def test_each_change_of_a_node_leaves_one_event(administrator, department):
    node = add_node(
        actor=administrator, ae_title="CT1", addresses=["10.0.0.1"], department=department
    )
    update_node(actor=administrator, node=node, can_query=True)
    remove_node(actor=administrator, node=node)

    assert [event.sentence for event in AuditEvent.objects.order_by("id")] == [
        f"{administrator} added the DICOM node CT1",
        f"{administrator} edited the DICOM node CT1",
        f"{administrator} removed the DICOM node CT1",
    ]
    changed = events(Action.NODE_UPDATED).get().details["changed"]
    assert changed == {"can_query": [False, True]}


def test_refused_callers_are_noted_once_each_and_never_fill_the_trail():
    def refuse(address: str, calling: str = "X") -> None:
        with bind_request_context(source_address=address, request_id=""):
            note_refused_association(calling=calling, called="Y", reason="unknown")

    for _ in range(3):
        refuse("10.0.0.1")
    refuse("10.0.0.1", "ANOTHER")
    assert events(Action.ASSOCIATION_REFUSED).count() == 2
    for number in range(MOST_CALLERS + 30):
        refuse(f"10.0.1.{number}")
    assert events(Action.ASSOCIATION_REFUSED).count() <= MOST_CALLERS + 10


def test_pages_add_change_and_remove_a_node(administrator, department, client):
    client.force_login(administrator)
    entered = {
        "ae_title": "CT1",
        "department": department.pk,
        "addresses": "10.0.0.1, 10.0.1.0/24",
        "can_store": "on",
        "host": "10.0.0.1",
    }
    refused = client.post(reverse("records:node-create"), entered)
    assert "A destination needs address and port." in refused.content.decode()

    client.post(reverse("records:node-create"), entered | {"port": 104})
    node = DicomNode.objects.get()
    assert node.addresses == ["10.0.0.1", "10.0.1.0/24"]
    assert (node.can_store, node.can_query, node.can_retrieve) == (True, False, False)

    page = client.get(reverse("records:node-edit", args=[node.pk])).content.decode()
    assert 'value="10.0.0.1, 10.0.1.0/24"' in page
    changed = entered | {"addresses": "10.0.0.9", "host": "", "can_query": "on"}
    client.post(reverse("records:node-edit", args=[node.pk]), changed)
    node.refresh_from_db()
    assert (node.addresses, node.is_destination, node.can_query) == (["10.0.0.9"], False, True)
    assert "10.0.0.9" in client.get(reverse("records:node-list")).content.decode()

    client.post(reverse("records:node-remove", args=[node.pk]))
    assert not DicomNode.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("addresses", "pacs.hospital"), ("addresses", ""), ("ae_title", "A" * 17)],
)
def test_page_says_what_is_wrong_with_a_value(administrator, department, client, field, value):
    client.force_login(administrator)
    entered = {"ae_title": "CT1", "department": department.pk, "addresses": "10.0.0.1"}
    answer = client.post(reverse("records:node-create"), entered | {field: value})
    assert field in answer.context["form"].errors
    assert not DicomNode.objects.exists()

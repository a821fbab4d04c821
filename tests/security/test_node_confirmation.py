"""An administrator's own computer is registered as a DICOM node that may take images away."""

import pytest
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.roles import Role
from records.choices import Action
from records.models import DicomNode
from tests.factories import make_department, make_node, make_study, make_user
from tests.records.dimse import PEER, find, find_status, listening, move, run
from tests.security.links import make_link, redeem, sign_in, signed_in

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID")


@pytest.fixture
def ada():
    return make_user(Role.ADMINISTRATOR, username="ada", full_name="Ada Admin")


@pytest.fixture
def reader(radiology):
    return make_user(Role.REVIEWER, department=radiology, full_name="Reader Seven")


def entered(radiology, **fields):
    return {
        "ae_title": PEER,
        "department": radiology.pk,
        "addresses": "127.0.0.1",
        "can_store": "on",
        "can_query": "on",
        "can_retrieve": "on",
        **fields,
    }


def add(ada, radiology, **fields):
    signed_in(ada).post(reverse("records:node-create"), entered(radiology, **fields))
    return DicomNode.objects.get(ae_title=fields.get("ae_title", PEER))


def edit(ada, node, radiology, **fields):
    given = entered(radiology, **fields)
    given = {name: value for name, value in given.items() if value is not None}
    return signed_in(ada).post(reverse("records:node-edit", args=[node.pk]), given)


def confirm(person, node):
    node.refresh_from_db()
    address = reverse("records:node-confirm", args=[node.pk])
    return signed_in(person).post(address, {"revision": node.revision})


def may(node):
    node.refresh_from_db()
    return node.may_query, node.may_retrieve


def test_own_computer_is_added_and_searches_at_once(ada, radiology):
    study = make_study(department=radiology)
    add(ada, radiology)
    with listening() as server:
        assert find_status(server, *EVERYTHING) == ""
        assert "0x0000" not in move(server, study, to=PEER)


def test_own_computer_takes_images_by_c_get(ada, radiology, tmp_path):
    study = make_study(department=radiology)
    add(ada, radiology)
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.study_instance_uid}")
    with listening() as server:
        run(server, "getscu", "-S", "-od", tmp_path, *keys)
    assert not AuditEvent.objects.filter(action=Action.STUDY_RETRIEVED).exists()


def test_person_of_the_department_confirms_and_the_event_says_who(ada, radiology, reader):
    study = make_study(department=radiology)
    node = add(ada, radiology)
    page = signed_in(reader).get(reverse("records:node-waiting-list")).content.decode()
    assert PEER in page
    assert "127.0.0.1" in page
    assert "waiting: </span>1</span>" in page
    confirm(reader, node)
    event = AuditEvent.objects.get(action=Action.NODE_CONFIRMED)
    assert (event.actor_id, event.department_id) == (reader.pk, radiology.pk)
    with listening() as server:
        (answer,) = find(server, *EVERYTHING)
    assert study.study_instance_uid in answer


def test_administrator_confirms_their_own_node(ada, radiology):
    node = add(ada, radiology)
    assert confirm(ada, node).status_code == 403


def test_administrator_confirms_it_by_a_role_of_their_own(radiology):
    both = make_user(Role.ADMINISTRATOR, Role.REVIEWER, department=radiology)
    node = add(both, radiology)
    answer = confirm(both, node)
    assert answer.status_code == 302
    assert may(node) == (False, False)


def test_administrator_confirms_it_through_a_link_for_a_reader(ada, radiology, reader):
    node = add(ada, radiology)
    browser = signed_in(ada)
    redeem(browser, make_link(browser, reader))
    address = reverse("records:node-confirm", args=[node.pk])
    sign_in(reader.username).post(address, {"revision": node.revision})
    assert may(node) == (False, False)


def test_person_of_another_department_confirms(ada, radiology):
    node = add(ada, radiology)
    elsewhere = make_user(Role.REVIEWER, department=make_department("Dermatology"))
    assert confirm(elsewhere, node).status_code == 404
    assert may(node) == (False, False)


@pytest.mark.parametrize(
    "changed",
    [
        {"addresses": "127.0.0.0/8"},
        {"ae_title": "ADMINPC"},
        {"department": "other"},
        {"host": "127.0.0.1", "port": 104},
    ],
)
def test_confirmed_node_is_widened(ada, radiology, reader, changed):
    node = add(ada, radiology)
    confirm(reader, node)
    assert may(node) == (True, True)
    if "department" in changed:
        changed = {"department": make_department("Dermatology").pk}
    edit(ada, node, radiology, **changed)
    assert may(node) == (False, False)


@pytest.mark.parametrize("right", ["can_query", "can_retrieve"])
def test_storing_node_is_given_more(ada, radiology, right):
    given = {"can_query": None, "can_retrieve": None}
    node = make_node(department=radiology, ae_title=PEER, can_query=False, can_retrieve=False)
    edit(ada, node, radiology, **{**given, right: "on"})
    node.refresh_from_db()
    assert getattr(node, right)
    assert may(node) == (False, False)


def test_node_is_narrowed_or_described_and_stays_in_force(ada, radiology, reader):
    node = add(ada, radiology)
    confirm(reader, node)
    edit(ada, node, radiology, can_retrieve=None, description="CT in room 4")
    assert may(node) == (True, False)


def test_destination_is_turned_to_another_computer(ada, radiology, reader):
    caller = make_node(department=radiology, ae_title="CALLER")
    node = add(ada, radiology, host="127.0.0.1", port=11112)
    assert not DicomNode.objects.destinations_for(caller).filter(pk=node.pk).exists()
    confirm(reader, node)
    assert DicomNode.objects.destinations_for(caller).filter(pk=node.pk).exists()
    edit(ada, node, radiology, host="127.0.0.2", port=11112)
    assert not DicomNode.objects.destinations_for(caller).filter(pk=node.pk).exists()


def test_node_is_changed_while_the_person_reads_it(ada, radiology, reader):
    node = add(ada, radiology)
    seen = DicomNode.objects.get(pk=node.pk).revision
    edit(ada, node, radiology, addresses="127.0.0.0/8")
    address = reverse("records:node-confirm", args=[node.pk])
    signed_in(reader).post(address, {"revision": seen})
    signed_in(reader).post(address, {"revision": "x"})
    signed_in(reader).post(address)
    assert may(node) == (False, False)


def test_department_declines_and_the_node_only_stores(ada, radiology, reader):
    node = add(ada, radiology, host="127.0.0.1", port=104)
    signed_in(reader).post(reverse("records:node-decline", args=[node.pk]))
    node.refresh_from_db()
    assert (node.can_store, node.can_query, node.can_retrieve) == (True, False, False)
    assert node.host == ""
    assert AuditEvent.objects.get(action=Action.NODE_DECLINED).actor_id == reader.pk
    assert confirm(reader, node).status_code == 302
    assert not AuditEvent.objects.filter(action=Action.NODE_CONFIRMED).exists()


def test_removed_and_added_again_waits_again(ada, radiology, reader):
    node = add(ada, radiology)
    confirm(reader, node)
    signed_in(ada).post(reverse("records:node-remove", args=[node.pk]))
    assert may(add(ada, radiology)) == (False, False)

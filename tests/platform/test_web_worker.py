"""The web server's worker: HTTP as clients speak it, and those who don't go on."""

import http.client
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.test import Client
from django.urls import get_resolver

from accounts.client_addresses import find_client, network_of
from accounts.models import User
from accounts.roles import Role
from accounts.services import issue_token
from medimaging.web_worker.incoming import GIVES_FILES
from records.models import Instance, Study
from tests.dicom.files import make_dicom
from tests.factories import make_user
from tests.gunicorn import Gunicorn
from tests.product import free_port, wait_for
from tests.records.dicomweb.messages import body_of

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1024 * 1024
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
SIGN_IN = "POST /sign-in/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
STOW = (
    "POST /dicomweb/studies HTTP/1.1\r\nHost: localhost\r\n"
    'Content-Type: multipart/related; type="application/dicom"; boundary="a b"\r\n'
)


@pytest.fixture
def start(django_db_setup: None, tmp_path: Path) -> Iterator[Callable[..., Gunicorn]]:
    """Start servers with settings of a test's own."""
    servers: list[Gunicorn] = []

    def _start(**environment: str) -> Gunicorn:
        server = Gunicorn(tmp_path / f"gunicorn-{len(servers)}.log", **environment)
        servers.append(server)
        server.start()
        return server

    yield _start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    server = Gunicorn(tmp_path_factory.mktemp("worker") / "log", INTAKE_SILENCE_SECONDS="2")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def technician(db: None) -> User:
    return make_user(Role.TECHNICIAN)


@pytest.fixture
def token(technician: User) -> str:
    _, value = issue_token(actor=technician, user=technician, name="worker", days=1)
    return value


@contextmanager
def talking_to(server: Gunicorn, seconds: float = 30) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        yield connection


def answers_of(connection: socket.socket) -> bytes:
    """Everything until the server hangs up, or is silent for a second."""
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
            connection.settimeout(1)
    except TimeoutError:
        pass
    return received


def is_hung_up_on(connection: socket.socket, *, within: float) -> bool:
    connection.settimeout(within)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return True


def answers(server: Gunicorn, path: str = "/sign-in/", seconds: float = 10) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=seconds)
    connection.request("GET", path)
    return connection.getresponse().status


def test_a_connection_serves_one_request_after_another(server: Gunicorn) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for path in ("/healthz", "/sign-in/", "/healthz", "/sign-in/"):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (200, "keep-alive")
        answer.read()


def test_requests_sent_at_once_are_answered_in_their_order(server: Gunicorn) -> None:
    page = b"GET /sign-in/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with talking_to(server) as connection:
        connection.sendall(GET + page + GET + page + GET * 300)
        received = answers_of(connection)

    assert received.count(b"HTTP/1.1 200 OK") == 304
    kinds = [part.count(b"<html") for part in received.split(b'{"status": "ok"}')][:3]
    assert kinds == [0, 1, 1]


@pytest.mark.parametrize("path", ["/healthz", "/sign-in/"])
def test_an_http_1_0_client_is_hung_up_on(server: Gunicorn, path: str) -> None:
    with talking_to(server) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        assert is_hung_up_on(connection, within=5)


def test_a_head_request_to_the_health_check_has_no_body(server: Gunicorn) -> None:
    with talking_to(server) as connection:
        connection.sendall(GET.replace(b"GET", b"HEAD"))
        assert answers_of(connection).endswith(b"\r\n\r\n")


def test_a_body_that_comes_byte_by_byte_arrives_whole(server: Gunicorn) -> None:
    connection = Client().get("/sign-in/").cookies["csrftoken"].value
    body = f"csrfmiddlewaretoken={connection}&username=nobody&password=wrong"
    head = (
        "POST /sign-in/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Cookie: csrftoken={connection}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with talking_to(server) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in (head + body).encode():
            client.send(bytes([byte]))
        received = answers_of(client)

    assert received.startswith(b"HTTP/1.1 200"), received[:200]
    assert b"nobody" in received


def test_a_client_that_waits_to_be_told_is_told_once(server: Gunicorn) -> None:
    with talking_to(server) as connection:
        head = f"{SIGN_IN}Expect: 100-continue\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"a=bc")
        received = answers_of(connection)

    assert received.startswith(b"HTTP/1.1 403")
    assert b"100 Continue" not in received


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
@pytest.mark.parametrize("length", [MIB + 1, 2 * 10**9])
def test_a_form_too_large_is_refused_by_its_head(
    server: Gunicorn, length: int, expect: str
) -> None:
    with talking_to(server) as connection:
        connection.sendall(f"{SIGN_IN}{expect}Content-Length: {length}\r\n\r\n".encode())
        received = answers_of(connection)

    assert received.startswith(b"HTTP/1.1 413 ")
    assert b"larger than anything" in received
    assert b"default-src 'none'" in received


@pytest.mark.parametrize(
    "path", ["submissions/1/close/", "submissions/", "tokens/", "%73ubmissions/"]
)
def test_calls_too_large_are_refused_as_a_problem(server: Gunicorn, path: str) -> None:
    with talking_to(server) as connection:
        head = f"POST /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode())
        head, _, body = answers_of(connection).decode().partition("\r\n\r\n")

    assert head.startswith("HTTP/1.1 413 ")
    assert "application/problem+json" in head
    problem = json.loads(body)
    assert problem["code"] == "too_large"
    assert problem["reference"] in head


def test_a_form_in_chunks_is_refused_by_its_head(server: Gunicorn) -> None:
    with talking_to(server) as connection:
        connection.sendall(f"{SIGN_IN}Transfer-Encoding: chunked\r\n\r\n".encode())
        assert answers_of(connection).startswith(b"HTTP/1.1 411 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\n\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"\r\n\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000, 431),
        (SIGN_IN.encode() + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (SIGN_IN.encode() + b"Content-Length: -3\r\n\r\n", 400),
    ],
    ids=["bare-lf", "nonsense", "empty", "endless", "two-lengths", "negative"],
)
def test_what_is_no_request_is_refused_at_once(server: Gunicorn, sent: bytes, status: int) -> None:
    with talking_to(server) as connection:
        connection.sendall(sent)
        assert answers_of(connection).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_body_without_a_length_is_none(server: Gunicorn) -> None:
    with talking_to(server) as connection:
        connection.sendall(f"{SIGN_IN}\r\n".encode())
        assert answers_of(connection).startswith(b"HTTP/1.1 403 ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "said", [b"GET / HT", f"{SIGN_IN}Content-Length: 9\r\n\r\na".encode()], ids=["head", "body"]
)
def test_half_a_request_is_told_that_it_took_too_long(start: Callable, said: bytes) -> None:
    with talking_to(start()) as connection:
        connection.sendall(said)
        connection.settimeout(14)
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")


@pytest.mark.slow
def test_a_silent_connection_is_hung_up_on(start: Callable) -> None:
    server = start()
    with talking_to(server) as fresh, talking_to(server) as used:
        used.sendall(GET)
        used.recv(1000)
        assert is_hung_up_on(used, within=8)
        assert is_hung_up_on(fresh, within=8)


def test_files_that_stop_coming_end_by_themselves(server: Gunicorn, token: str) -> None:
    whole, broken = make_dicom(), make_dicom(Rows=1024, Columns=512, PixelData=bytes(MIB))
    body = body_of(whole, broken)
    head = f"{STOW}Authorization: Token {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    with talking_to(server) as connection:
        begun = time.monotonic()
        connection.sendall(head.encode() + body[: len(body) // 2])
        assert is_hung_up_on(connection, within=10)
        assert time.monotonic() - begun < 6

    assert Instance.objects.count() == 1


def test_a_stranger_s_file_is_refused_before_it_comes(server: Gunicorn) -> None:
    with talking_to(server) as connection:
        connection.sendall(f"{STOW}Content-Length: 900000000\r\n\r\n--a b\r\n".encode())
        begun = time.monotonic()
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")
        assert time.monotonic() - begun < 2
        assert is_hung_up_on(connection, within=5)


def test_files_of_one_client_wait_for_each_other_and_pages_do_not(
    start: Callable, token: str
) -> None:
    server = start(WEB_THREADS="1", WEB_FILE_THREADS="2", WEB_FILES_PER_CLIENT="1")
    body = body_of(make_dicom())
    head = f"{STOW}Connection: close\r\nAuthorization: Token {token}\r\n"
    with talking_to(server) as slow, talking_to(server) as waiting:
        slow.sendall(f"{head}Content-Length: 900000000\r\n\r\n--a b\r\n".encode())
        time.sleep(0.5)
        length = f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n"
        waiting.sendall((head + length).encode() + body + b"\r\n0\r\n\r\n")
        waiting.settimeout(1)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        assert answers(server, seconds=2) == 200

        slow.close()
        waiting.settimeout(10)
        assert waiting.recv(1000).startswith(b"HTTP/1.1 200")


def test_clients_behind_our_proxy_are_told_apart(start: Callable, token: str) -> None:
    server = start(WEB_FILE_THREADS="2", WEB_FILES_PER_CLIENT="1", TRUSTED_PROXIES="1")
    body = body_of(make_dicom())
    head = f"{STOW}Authorization: Token {token}\r\nX-Forwarded-For: 2001:db8:1:"
    with talking_to(server) as slow, talking_to(server) as near, talking_to(server) as far:
        slow.sendall(f"{head}1::1\r\nContent-Length: 900000000\r\n\r\n--a b\r\n".encode())
        time.sleep(0.5)
        for connection, network in ((near, "1::2"), (far, "2::1")):
            length = f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n"
            connection.sendall(
                (head + network + "\r\n" + length).encode() + body + b"\r\n0\r\n\r\n"
            )
        assert far.recv(1000).startswith(b"HTTP/1.1 200")
        near.settimeout(1)
        with pytest.raises(TimeoutError):
            near.recv(1)


@pytest.mark.parametrize("limit", ["WEB_CONNECTIONS", "WEB_CONNECTIONS_PER_CLIENT"])
def test_one_connection_too_many_ends_the_oldest(start: Callable, limit: str) -> None:
    server = start(**{limit: "20"})
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(60)]
    try:
        begun = time.monotonic()
        assert answers(server) == 200
        assert time.monotonic() - begun < 3
        assert is_hung_up_on(held[0], within=1)
        held[-1].sendall(GET)
        assert held[-1].recv(1000).startswith(b"HTTP/1.1 200")
    finally:
        for connection in held:
            connection.close()


def test_a_slow_reader_holds_no_thread(start: Callable) -> None:
    server = start(WEB_THREADS="1", WEB_FILE_THREADS="1")
    script = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        reader.connect(("127.0.0.1", server.port))
        reader.sendall(f"GET {script} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 3)
        time.sleep(0.5)
        assert answers(server, seconds=3) == 200

        reader.settimeout(10)
        received = reader.recv(65536)
        length = int(received.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        while len(received) < length:
            received += reader.recv(MIB)


@pytest.mark.slow
def test_who_reads_a_file_too_slowly_is_hung_up_on(start: Callable, token: str) -> None:
    server = start(WEB_THREADS="1", WEB_FILE_THREADS="1", INTAKE_SILENCE_SECONDS="2")
    body = body_of(make_dicom(Rows=4096, Columns=2048, PixelData=bytes(16 * MIB)))
    head = f"{STOW}Authorization: Token {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    with talking_to(server) as sender:
        sender.sendall(head.encode() + body)
        assert sender.recv(1000).startswith(b"HTTP/1.1 200")
    instance = Instance.objects.get()

    for path in (
        f"/dicomweb/studies/{Study.objects.get().study_instance_uid}",
        f"/api/v1/instances/{instance.pk}/file/",
    ):
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            reader.connect(("127.0.0.1", server.port))
            asked = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {token}\r\n"
            reader.sendall(f"{asked}\r\n".encode())
            time.sleep(0.5)
            assert answers(server, seconds=3) == 200
            time.sleep(4)
            reader.settimeout(10)
            received = b""
            while data := reader.recv(MIB):
                received += data
            assert received.startswith(b"HTTP/1.1 200")
            assert len(received) < 16 * MIB


def test_a_server_that_stops_finishes_what_it_has_begun(start: Callable) -> None:
    server = start()
    with talking_to(server) as begun, talking_to(server) as idle:
        begun.sendall(SIGN_IN.encode() + b"Content-Length: 4\r\n\r\na")
        idle.sendall(GET)
        idle.recv(1000)
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        begun.sendall(b"=bc")
        received = answers_of(begun)
        assert received.startswith(b"HTTP/1.1 403")
        assert b"Connection: close" in received
        assert is_hung_up_on(idle, within=5)
        wait_for(lambda: server.process.poll() is not None, seconds=10, what="the end")


def test_a_server_may_listen_at_several_addresses(start: Callable) -> None:
    port, other = free_port(), free_port()
    server = start(WEB_BIND=f"127.0.0.1:{port},[::1]:{other}")
    server.port = port
    assert answers(server) == 200
    with socket.create_connection(("::1", other), timeout=5) as connection:
        connection.sendall(GET)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_every_address_that_gives_a_file_is_known_to_the_worker() -> None:
    uid = "00000000-0000-0000-0000-000000000000"
    giving = [
        route
        for route in get_resolver().reverse_dict
        if isinstance(route, str) and route.endswith("-file")
    ]
    patterns = {get_resolver().reverse_dict.getlist(name)[0][0][0][0] for name in giving}

    assert len(patterns) >= 3
    for pattern in patterns:
        path = "/" + pattern.replace("%(pk)s", uid).replace("%(format)s", "json")
        assert GIVES_FILES.fullmatch(path), path


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_one_client_is_an_address_or_a_network(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("forwarded", "proxies", "client"),
    [
        ("198.51.100.1", 0, "192.0.2.1"),
        ("203.0.113.9, 198.51.100.1", 1, "198.51.100.1"),
        ("203.0.113.9, 198.51.100.1", 2, "203.0.113.9"),
        ("198.51.100.1", 2, "192.0.2.1"),
        ("unknown", 1, "192.0.2.1"),
    ],
)
def test_a_client_is_found_behind_proxies_of_ours_alone(
    forwarded: str, proxies: int, client: str
) -> None:
    assert find_client(forwarded=forwarded, peer="192.0.2.1", proxies=proxies) == client

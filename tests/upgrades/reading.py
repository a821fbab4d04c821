"""Everything that people and programs read, asked of whatever release this runs in.

Run in the folder of a release, with its database in the environment: its last line is JSON with the
status of each page that links lead people of four roles to, and of each address of the API that a
reviewer reads; with the argument `readyz`, of that alone. It imports nothing of the tests.
"""

import json
import os
import re
import sys
import time
from collections import deque

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medimaging.settings")

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402 - Django is set up first
from django.http import HttpResponse  # noqa: E402 - the same
from django.test import Client  # noqa: E402 - the same

PEOPLE = ("reviewer", "technician", "administrator", "auditor")
LISTS = (
    *("studies", "classifications", "patients", "instances", "conflicts", "model-versions"),
    *("deleted-studies", "exports"),
)
LINK = re.compile(r'href="(/[^"#]*)"')
NO_PAGES = re.compile(
    r"^/(static|api|dicomweb|sign-out)|/(file|image|download|dicom|csv)s?/|[?&]csv"
)
PAGES_EACH = 25
DETAILS_EACH = 3


def signed_in(username: str) -> Client:
    client = Client(SERVER_NAME="localhost", raise_request_exception=False)
    client.force_login(get_user_model().objects.get(username=username))
    return client


def crawl(username: str) -> dict[str, int]:
    """The status of each page that links lead to from where that person begins."""
    client, found = signed_in(username), {}
    waiting = deque(["/"])
    while waiting and len(found) < PAGES_EACH:
        path = waiting.popleft()
        if path in found:
            continue
        answer = client.get(path, follow=True)
        found[path] = answer.status_code
        if answer.status_code == 200 and not answer.streaming:
            links = LINK.findall(answer.content.decode().replace("&amp;", "&"))
            waiting += [link for link in links if not NO_PAGES.search(link)]
    return found


def ask_api() -> tuple[dict[str, int], list[dict[str, object]]]:
    """The status of lists and details, and all classifications as the API tells them."""
    client, found, answers = signed_in("reviewer"), {}, []
    for name in LISTS:
        answer = client.get(f"/api/v1/{name}/?page_size=100")
        found[name] = answer.status_code
        rows = answer.json()["results"] if answer.status_code == 200 else []
        if name == "classifications":
            answers = rows
        for row in rows[:DETAILS_EACH]:
            path = f"{name}/{row['id']}"
            if name != "deleted-studies":
                found[path] = client.get(f"/api/v1/{path}/").status_code
    return found, answers


def ask_readiness() -> HttpResponse:
    """The answer of /readyz once each part has had its say: a new process is slow to find them."""
    client = Client(SERVER_NAME="localhost")
    answer = client.get("/readyz")
    for _ in range(60):
        if b"no_answer" not in answer.content:
            break
        time.sleep(1)
        answer = client.get("/readyz")
    return answer


def main() -> None:
    ready = ask_readiness()
    told: dict[str, object] = {"readyz": [ready.status_code, ready.json()]}
    if sys.argv[1:] != ["readyz"]:
        told["api"], told["answers"] = ask_api()
        told["pages"] = {username: crawl(username) for username in PEOPLE}
    print(json.dumps(told))


main()

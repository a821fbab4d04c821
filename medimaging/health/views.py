"""Whether this process lives, whether it can serve, and how everything is."""

from dataclasses import asdict

from django.http import HttpRequest, JsonResponse

from accounts.reads import reads_nothing
from medimaging.health import probes  # noqa: F401  (registers them)
from medimaging.health.parts import Part, State, parts, worst

SERVES_REQUESTS = frozenset({"database", "migrations"})
"""Without these no request can be answered: the only reason to be sent none."""

ASKED_BEFORE_TRAFFIC = SERVES_REQUESTS | {"redis", "room", "store", "workers"}


@reads_nothing
def live(request: HttpRequest) -> JsonResponse:
    """Answer without touching anything: a restart would not help what this can't see."""
    return JsonResponse({"status": "ok"})


@reads_nothing
def ready(request: HttpRequest) -> JsonResponse:
    """Answer 503 where no request can be served, and name what else isn't as it should be."""
    found = parts(names=ASKED_BEFORE_TRAFFIC)
    can_serve = all(part.state is State.OK for part in found if part.name in SERVES_REQUESTS)
    state = worst(found) if can_serve else "unavailable"
    return _answer(state, found, status=200 if can_serve else 503)


@reads_nothing
def status(request: HttpRequest) -> JsonResponse:
    """Tell everything that can be told about every part; 200 whatever it is."""
    found = parts()
    return _answer(worst(found), found, status=200)


def _answer(state: str, found: list[Part], *, status: int) -> JsonResponse:
    body = {"status": state, "parts": [asdict(part) for part in found]}
    return JsonResponse(body, status=status, headers={"Cache-Control": "no-store"})

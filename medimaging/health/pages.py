"""How everything is, in words, for administrators."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.generic import View

from accounts.access import VerbRequiredMixin
from accounts.reads import NOTHING
from accounts.roles import Verb
from medimaging.health import probes  # noqa: F401  (registers them)
from medimaging.health.parts import Part, State, parts, worst
from medimaging.health.words import details_of, title_of

WORST_FIRST = (State.DOWN, State.DEGRADED, State.UNKNOWN, State.OK)


class StatusView(VerbRequiredMixin, View):
    """The page."""

    verb = Verb.STATUS_VIEW
    reads = NOTHING
    template = "medimaging/status.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask all parts, which takes a second at most."""
        return render(request, self.template, _context(parts()))


class StatusPartsView(StatusView):
    """What of the page renews itself."""

    template = "medimaging/_status_parts.html"


def _context(found: list[Part]) -> dict[str, Any]:
    found = sorted(found, key=lambda part: WORST_FIRST.index(part.state))
    rows = [{"part": part, "title": title_of(part), "details": details_of(part)} for part in found]
    ill = sum(part.state is not State.OK for part in found)
    return {"rows": rows, "ill": rows[:ill], "state": worst(found), "at": timezone.now()}

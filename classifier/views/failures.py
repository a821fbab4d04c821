"""The page about what failed and what waits: counted, without anything about a patient."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.generic import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.parameters import takes
from accounts.reads import NOTHING
from accounts.roles import Verb
from classifier.failures import failed_groups, waiting_groups
from classifier.models import Classification
from classifier.services.reruns import rerun_failed

AT_ONCE = 500
"""As many as a request has the time for; whoever has more asks again."""


class FailedListView(VerbRequiredMixin, View):
    """How many failed, and how many wait, for which reason."""

    verb = Verb.QUEUE_RERUN
    reads = NOTHING

    def get(self, request: HttpRequest) -> HttpResponse:
        """Draw both, the most first."""
        context = {
            "failed": failed_groups(Classification.objects.failed()),
            "waiting": waiting_groups(Classification.objects.waiting()),
            "at_once": AT_ONCE,
        }
        return render(request, "classifier/failed_list.html", context)


class FailedRerunView(VerbRequiredMixin, View):
    """Run again all that failed for one reason."""

    posted = takes("code", "task")
    verb = Verb.QUEUE_RERUN
    reads = NOTHING

    def post(self, request: HttpRequest) -> HttpResponse:
        """Queue them, and say how many are left."""
        code, task = request.POST.get("code", ""), request.POST.get("task", "")
        if not code:
            messages.error(request, "Choose a reason: the request named none.")
            return redirect("classifier:failed-list")
        count = rerun_failed(actor=signed_in_user(request), code=code, task=task, limit=AT_ONCE)
        left = Classification.objects.failed(code=code, task=task).count()
        if not count:
            messages.info(request, "None of them is failed any more.")
        elif left:
            messages.warning(request, f"{count} are queued again. {left} are left: run them too.")
        else:
            messages.success(request, f"{count} queued again.")
        return redirect("classifier:failed-list")

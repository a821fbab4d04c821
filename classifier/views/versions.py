"""The pages about models: which there are, what they can do, which is live."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.safestring import SafeString, mark_safe
from django.views.generic import View
from markdown_it import MarkdownIt

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.errors import KnownError
from accounts.reads import NOTHING
from accounts.roles import Verb
from classifier.figures import OF_A_LABEL, figures_of
from classifier.models import Classification, Deployment, ModelVersion, Task
from classifier.services.model_state import missing_versions, waiting_versions
from classifier.services.versions import deploy_version, withdraw_task


class ModelListView(VerbRequiredMixin, View):
    """Every task, its live version and the others."""

    verb = Verb.MODEL_VIEW
    reads = NOTHING

    def get(self, request: HttpRequest) -> HttpResponse:
        """Draw the tasks in the order of the product."""
        user = signed_in_user(request)
        versions = list(ModelVersion.objects.visible_to(user).with_live())
        newer = {entry.version.task: entry for entry in waiting_versions()}
        missing = {version.task for version in missing_versions()}
        tasks = [
            _task_entry(task, versions)
            | {"waiting": newer.get(task.value), "is_missing": task.value in missing}
            for task in Task
        ]
        context: dict[str, Any] = {"tasks": tasks}
        if user.has_verb(Verb.QUEUE_RERUN):
            context["stuck"] = {
                "failed": Classification.objects.failed().count(),
                "waiting": Classification.objects.waiting().count(),
            }
        return render(request, "classifier/model_list.html", context)


class ModelDetailView(VerbRequiredMixin, View):
    """One version: its card, its figures, its limits, when it was live."""

    verb = Verb.MODEL_VIEW
    reads = NOTHING

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw what the manifest says."""
        versions = ModelVersion.objects.visible_to(signed_in_user(request))
        version = get_object_or_404(versions, pk=pk)
        deployments = Deployment.objects.filter(task=version.task).select_related(
            "model_version", "deployed_by"
        )
        context = {
            "model_version": version,
            "manifest": version.manifest,
            "figures": figures_of(version),
            "figure_names": list(OF_A_LABEL.values()),
            "card": _card_as_html(version.model_card),
            "deployments": list(deployments[:50]),
            "is_live": Deployment.objects.live_version(version.task) == version,
        }
        return render(request, "classifier/model_detail.html", context)


class ModelDeployView(VerbRequiredMixin, View):
    """Put a version into use."""

    verb = Verb.MODEL_DEPLOY
    reads = NOTHING

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Deploy and say so."""
        version = get_object_or_404(ModelVersion, pk=pk)
        try:
            deploy_version(actor=signed_in_user(request), version=version)
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
        else:
            words = "routes the studies" if version.is_router else "answers its task"
            messages.success(request, f"{version} now {words}.")
        return redirect("classifier:model-detail", pk=pk)


WITHDRAWN = {
    True: "Stopped. From now on the header alone decides which model looks at a study.",
    False: "Stopped. New studies of this kind will abstain.",
}


class TaskWithdrawView(VerbRequiredMixin, View):
    """Stop a task at once."""

    verb = Verb.MODEL_DEPLOY
    reads = NOTHING

    def post(self, request: HttpRequest, task: str) -> HttpResponse:
        """Withdraw and say so."""
        try:
            withdraw_task(actor=signed_in_user(request), task=task)
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
        else:
            messages.success(request, WITHDRAWN[task == Task.BODY_PART])
        return redirect("classifier:model-list")


def _card_as_html(card: str) -> SafeString:
    """The model card for reading; any HTML inside it stays text."""
    lines = card.splitlines()
    body = lines[1:] if lines and lines[0].startswith("# ") else lines
    rendered = MarkdownIt("js-default").render("\n".join(body))
    return mark_safe(rendered)  # noqa: S308 - the parser escapes every tag it didn't write


def _task_entry(task: Task, versions: list[Any]) -> dict[str, Any]:
    own = [version for version in versions if version.task == task]
    live = next((version for version in own if version.live_id == version.pk), None)
    return {
        "task": task.value,
        "title": task.label,
        "is_router": task == Task.BODY_PART,
        "live": live,
        "versions": own,
        "description": (live or own[0]).manifest.get("intended_use", "") if own else "",
    }

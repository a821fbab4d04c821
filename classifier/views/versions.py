"""The pages about models: which there are, what they can do, which is live."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.safestring import SafeString, mark_safe
from django.views.generic import FormView, View
from markdown_it import MarkdownIt

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.errors import KnownError
from accounts.forms import as_validation_error
from accounts.parameters import takes
from accounts.reads import NOTHING
from accounts.roles import Verb
from classifier.choices import ROUTER_TASK
from classifier.comparisons import compare_versions
from classifier.figures import OF_A_LABEL, figures_of
from classifier.forms import SourceValidationForm
from classifier.image_limits import image_limits_of
from classifier.meanings import meanings_of
from classifier.models import (
    Classification,
    Deployment,
    ModelVersion,
    SourceValidation,
)
from classifier.services.model_state import find_model_state
from classifier.services.sources import state_validation, withdraw_validation
from classifier.services.versions import deploy_version, withdraw_task
from classifier.task_registry import TASK_TITLES
from records.forms import ReasonForm
from records.models.imaging import REASON_LENGTH


class ModelListView(VerbRequiredMixin, View):
    """Every task, its live version and the others."""

    verb = Verb.MODEL_VIEW
    reads = NOTHING

    def get(self, request: HttpRequest) -> HttpResponse:
        """Draw the tasks in the order of the product."""
        user = signed_in_user(request)
        versions = list(ModelVersion.objects.visible_to(user).with_live())
        state = find_model_state()
        newer = {entry.version.task: entry for entry in state.waiting}
        missing = {version.task for version in state.missing}
        tasks = [
            _task_entry(task, title, versions)
            | {"waiting": newer.get(task), "is_missing": task in missing}
            for task, title in _titles_of(versions).items()
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
        live = Deployment.objects.live_version(version.task)
        statements = SourceValidation.objects.with_listing().filter(model_version=version)
        context = {
            "model_version": version,
            "words": meanings_of(version),
            "image_limits": image_limits_of(version),
            "unproven": version.unproven_diseases,
            "statements": list(statements[:50]),
            "comparison": compare_versions(version, live) if live not in (None, version) else None,
            "reason_length": REASON_LENGTH,
            "manifest": version.manifest,
            "figures": figures_of(version),
            "figure_names": list(OF_A_LABEL.values()),
            "card": _card_as_html(version.model_card),
            "deployments": list(deployments[:50]),
            "is_live": live == version,
        }
        return render(request, "classifier/model_detail.html", context)


class ModelDeployView(VerbRequiredMixin, View):
    """Put a version into use."""

    verb = Verb.MODEL_DEPLOY
    reads = NOTHING
    posted = takes("reason")

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Deploy and say so."""
        version = get_object_or_404(ModelVersion, pk=pk)
        reason = request.POST.get("reason", "")
        try:
            deploy_version(actor=signed_in_user(request), version=version, reason=reason)
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
        else:
            words = "routes the studies" if version.is_router else "answers its task"
            messages.success(request, f"{version} now {words}.")
        return redirect("classifier:model-detail", pk=pk)


class _StatementView(VerbRequiredMixin, FormView):
    """A form on where a version was validated; what stands against it is said in the form."""

    verb = Verb.MODEL_DEPLOY
    reads = NOTHING

    def save(self, values: dict[str, Any]) -> tuple[UUID, str]:
        """Do what the form asks for; the version, and what to say. Raises KnownError."""
        raise NotImplementedError

    def form_valid(self, form: Form) -> HttpResponse:
        """Save and say so."""
        try:
            version, said = self.save(form.cleaned_data)
        except KnownError as error:
            form.add_error(None, as_validation_error(error))
            return self.form_invalid(form)
        messages.success(self.request, said)
        return redirect("classifier:model-detail", pk=version)


class SourceValidationCreateView(_StatementView):
    """Asks on which source a version was validated, and notes who answers for it."""

    form_class = SourceValidationForm
    template_name = "classifier/source_validation_form.html"

    def version(self) -> ModelVersion:
        """The version that the address names."""
        versions = ModelVersion.objects.visible_to(signed_in_user(self.request))
        return get_object_or_404(versions, pk=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Name the version."""
        return super().get_context_data(model_version=self.version(), **kwargs)

    def save(self, values: dict[str, Any]) -> tuple[UUID, str]:
        """State it."""
        version = self.version()
        stated = state_validation(actor=signed_in_user(self.request), version=version, **values)
        return version.pk, f"{version} now gives labels to images of {stated.source}."


class SourceValidationWithdrawView(_StatementView):
    """Asks why, and takes a statement back."""

    form_class = ReasonForm
    template_name = "classifier/source_validation_withdraw.html"

    def statement(self) -> SourceValidation:
        """The statement that the address names."""
        return get_object_or_404(SourceValidation.objects.with_listing(), pk=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Name the statement."""
        return super().get_context_data(statement=self.statement(), **kwargs)

    def save(self, values: dict[str, Any]) -> tuple[UUID, str]:
        """Withdraw it."""
        found = self.statement()
        withdraw_validation(actor=signed_in_user(self.request), statement=found.pk, **values)
        said = "The statement was withdrawn. Answers that were given stay."
        return found.model_version_id, said


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
            messages.success(request, WITHDRAWN[task == ROUTER_TASK])
        return redirect("classifier:model-list")


def _card_as_html(card: str) -> SafeString:
    """The model card for reading; any HTML inside it stays text."""
    lines = card.splitlines()
    body = lines[1:] if lines and lines[0].startswith("# ") else lines
    rendered = MarkdownIt("js-default").render("\n".join(body))
    return mark_safe(rendered)  # noqa: S308 - the parser escapes every tag it didn't write


def _titles_of(versions: list[ModelVersion]) -> dict[str, str]:
    """The tasks that this process knows, then those that were registered after it started."""
    later = {
        version.task: str(version.manifest.get("title") or version.task)
        for version in versions
        if version.task not in TASK_TITLES
    }
    return TASK_TITLES | dict(sorted(later.items()))


def _task_entry(task: str, title: str, versions: list[Any]) -> dict[str, Any]:
    own = [version for version in versions if version.task == task]
    live = next((version for version in own if version.live_id == version.pk), None)
    return {
        "task": task,
        "title": title,
        "is_router": task == ROUTER_TASK,
        "live": live,
        "versions": own,
        "description": (live or own[0]).manifest.get("intended_use", "") if own else "",
    }

"""The DICOM nodes that may call: administrators add them, the department confirms them."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views import View
from django.views.generic import FormView, TemplateView

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.errors import KnownError
from accounts.forms import as_validation_error
from accounts.parameters import takes
from accounts.reads import NOTHING
from accounts.roles import Verb
from records.errors import NodeTitleTaken
from records.forms import NodeForm
from records.models import DicomNode
from records.services import add_node, confirm_node, decline_node, remove_node, update_node


class NodeListView(VerbRequiredMixin, TemplateView):
    """Every node, with what it may do."""

    verb = Verb.NODE_MANAGE
    reads = NOTHING
    template_name = "records/node_list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather them."""
        nodes = DicomNode.objects.with_listing()
        title = settings.DICOM_AE_TITLE
        return super().get_context_data(node_list=nodes, own_title=title, **kwargs)


class NodeCreateView(VerbRequiredMixin, FormView):
    """A new node."""

    verb = Verb.NODE_MANAGE
    reads = NOTHING
    form_class = NodeForm
    template_name = "records/node_form.html"
    extra_context = {"title": "Add a DICOM node"}

    def form_valid(self, form: NodeForm) -> HttpResponse:
        """Add it."""
        try:
            node = add_node(actor=signed_in_user(self.request), **form.cleaned_data)
        except NodeTitleTaken as error:
            form.add_error("ae_title", as_validation_error(error))
            return self.form_invalid(form)
        messages.success(self.request, f"The DICOM node {node} was added. It can call at once.")
        say_what_waits(self.request, node)
        return redirect("records:node-list")


class NodeEditView(VerbRequiredMixin, FormView):
    """Other values for a node."""

    verb = Verb.NODE_MANAGE
    reads = NOTHING
    form_class = NodeForm
    template_name = "records/node_form.html"

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Keep the address's id: the row is looked up only after the permission."""
        super().setup(request, *args, **kwargs)
        self.pk = kwargs["pk"]

    def node(self) -> DicomNode:
        """The node that the address names."""
        return get_object_or_404(DicomNode, pk=self.pk)

    def get_initial(self) -> dict[str, Any]:
        """Start from the present values."""
        return NodeForm.initial_for(self.node())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say which node it is."""
        node = self.node()
        return super().get_context_data(title=f"DICOM node {node}", node=node, **kwargs)

    def form_valid(self, form: NodeForm) -> HttpResponse:
        """Change it."""
        try:
            node = update_node(
                actor=signed_in_user(self.request), node=self.node(), **form.cleaned_data
            )
        except NodeTitleTaken as error:
            form.add_error("ae_title", as_validation_error(error))
            return self.form_invalid(form)
        messages.success(self.request, f"The DICOM node {node} was saved.")
        say_what_waits(self.request, node)
        return redirect("records:node-list")


class NodeRemoveView(VerbRequiredMixin, View):
    """Asks, then lets the node in no more."""

    verb = Verb.NODE_MANAGE
    reads = NOTHING

    def get(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Ask."""
        context = {"node": get_object_or_404(DicomNode, pk=pk)}
        return render(request, "records/node_confirm_remove.html", context)

    def post(self, request: HttpRequest, pk: str) -> HttpResponse:
        """Do it."""
        node = get_object_or_404(DicomNode, pk=pk)
        remove_node(actor=signed_in_user(request), node=node)
        messages.success(request, f"The DICOM node {node} was removed.")
        return redirect("records:node-list")


class NodeWaitingListView(VerbRequiredMixin, TemplateView):
    """For people of the department: nodes that are to take images away, until somebody confirms."""

    verb = Verb.NODE_CONFIRM
    reads = NOTHING
    template_name = "records/node_waiting_list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather what waits, and what was confirmed."""
        nodes = DicomNode.objects.confirmable_by(signed_in_user(self.request)).with_listing()
        confirmed = [node for node in nodes if node.takes_images_away and not node.is_waiting]
        return super().get_context_data(waiting=nodes.waiting(), confirmed=confirmed, **kwargs)


class NodeDecisionView(VerbRequiredMixin, View):
    """One decision of the department about one node."""

    verb = Verb.NODE_CONFIRM
    reads = NOTHING
    http_method_names = ("post",)

    def decide(self, node: DicomNode) -> str:
        """Do it, and return what to say. Raises KnownError."""
        raise NotImplementedError

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Decide, or say why not."""
        confirmable = DicomNode.objects.confirmable_by(signed_in_user(request))
        node = get_object_or_404(confirmable, pk=pk)
        try:
            messages.success(request, self.decide(node))
        except KnownError as error:
            messages.error(request, f"{error.message} {error.action}")
        return redirect("records:node-waiting-list")


class NodeConfirmView(NodeDecisionView):
    """The department lets a node take images away."""

    posted = takes("revision")

    def decide(self, node: DicomNode) -> str:
        """Confirm what the person has read."""
        given = self.request.POST.get("revision", "")
        revision = int(given) if given.isascii() and given.isdecimal() else None
        confirm_node(actor=signed_in_user(self.request), node=node, revision=revision)
        return f"The DICOM node {node} may do that from now on."


class NodeDeclineView(NodeDecisionView):
    """The department lets a node store only."""

    def decide(self, node: DicomNode) -> str:
        """Take back what an administrator wanted it to do."""
        decline_node(actor=signed_in_user(self.request), node=node)
        return f"The DICOM node {node} may store images, and nothing else."


def say_what_waits(request: HttpRequest, node: DicomNode) -> None:
    """Tell the administrator that the department has to confirm what they entered."""
    if node.is_waiting:
        messages.info(
            request, f"Until a person of {node.department} has confirmed it, it may only store."
        )

"""One patient's studies with what was concluded of each: a part of the patient's page."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.audit import record_access
from accounts.reads import told_by
from accounts.roles import Verb
from classifier.models import Classification
from records.choices import Action as RecordsAction
from records.models import Patient, Study
from records.views.patients import STUDIES_SHOWN


class PatientResultsView(VerbRequiredMixin, View):
    """The one table of a patient's page: a row for each answer, and for each study without one."""

    verb = Verb.STUDY_VIEW
    reads = told_by(RecordsAction.PATIENT_VIEWED)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw those that the person may see, the newest examination first."""
        user = signed_in_user(request)
        patient = get_object_or_404(Patient.objects.visible_to(user), pk=pk)
        record_access(
            action=RecordsAction.PATIENT_VIEWED, actor=user, target=patient, patient_id=patient.pk
        )
        studies = Study.objects.visible_to(user).of_person(patient).with_listing()
        rows = Classification.objects.visible_to(user).current().with_listing()
        context = {"readings": rows.by_study(studies.newest_examined()[:STUDIES_SHOWN])}
        return render(request, "classifier/_patient_results.html", context)

"""The list of patients, and one patient with all visible studies."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views import View

from accounts.access import VerbRequiredMixin, signed_in_user
from accounts.audit import record_access
from accounts.reads import told_by
from accounts.roles import Verb
from records.choices import Action
from records.forms import PatientFilterForm
from records.models import IdentityConflict, Patient, Study
from records.views.lists import RecordedListView

STUDIES_SHOWN = 200


class PatientListView(RecordedListView):
    """The patients with a study in the person's departments, by name."""

    verb = Verb.PATIENT_VIEW
    reads = told_by(Action.PATIENTS_SEARCHED)
    filter_form_class = PatientFilterForm
    template_name = "records/patient_list.html"
    rows_template_name = "records/_patient_rows.html"
    rows_name = "patients"
    list_action = Action.PATIENTS_SEARCHED
    place = "patient-list"
    key = ("name", "id")

    def find_rows(self) -> QuerySet[Patient]:
        """What the person may see."""
        user = signed_in_user(self.request)
        return Patient.objects.visible_to(user).with_counts(user)


class PatientDetailView(VerbRequiredMixin, View):
    """One patient."""

    verb = Verb.PATIENT_VIEW
    reads = told_by(Action.PATIENT_VIEWED)

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Draw the page."""
        user = signed_in_user(request)
        patient = get_object_or_404(Patient.objects.visible_to(user), pk=pk)
        record_access(
            action=Action.PATIENT_VIEWED, actor=user, target=patient, patient_id=patient.pk
        )
        rows = Study.objects.visible_to(user).of_person(patient).with_listing()
        studies = list(rows.newest_examined()[:STUDIES_SHOWN])
        conflicts = IdentityConflict.objects.visible_to(user).open().about_patient(patient)
        context = {
            "patient": patient,
            "studies": studies,
            "conflicts": conflicts,
            "is_in_question": any(study.is_in_question for study in studies),
        }
        return render(request, "records/patient_detail.html", context)

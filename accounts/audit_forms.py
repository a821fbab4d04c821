"""What narrows the audit trail, on its page, in its export and in the API."""

import contextlib
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone

from accounts.actions import registry
from accounts.audit import hashes_of
from accounts.choices import PERIODS, EventKind, Outcome, Period
from accounts.filters import FilterForm
from accounts.models import User
from accounts.subjects import Subject, find_subjects
from accounts.texts import search_terms, sought_terms

MOST_NAMED = 20
"""Ids of one kind that an event about a question names; a patient rarely has more studies."""


def _action_choices() -> list[tuple[str, str]]:
    return [("", "Any action"), *registry.choices()]


class AuditFilterForm(FilterForm):
    """What narrows the audit trail, on its page, in its export and in the API."""

    q = forms.CharField(
        required=False,
        label="Actor's name or target",
        max_length=100,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": "Actor or target", "data-private": ""}
        ),
    )
    since = forms.DateField(
        required=False, label="From day", widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        required=False, label="To day", widget=forms.DateInput(attrs={"type": "date"})
    )
    actor = forms.CharField(
        required=False,
        label="User name",
        max_length=150,
        widget=forms.TextInput(attrs={"placeholder": "User name"}),
    )
    period = forms.ChoiceField(
        required=False, label="Period", choices=[("", "Any time"), *Period.choices]
    )
    kind = forms.ChoiceField(
        required=False, label="Kind", choices=[("", "Any kind"), *EventKind.choices]
    )
    action = forms.ChoiceField(required=False, label="Action", choices=_action_choices)
    outcome = forms.ChoiceField(
        required=False, label="Outcome", choices=[("", "Any outcome"), *Outcome.choices]
    )
    study = forms.UUIDField(
        required=False, label="Study", widget=forms.TextInput(attrs={"placeholder": "Study id"})
    )
    patient = forms.UUIDField(
        required=False,
        label="Patient",
        widget=forms.TextInput(attrs={"placeholder": "Patient record id"}),
    )

    searched = forms.CharField(
        required=False,
        label="Who searched for",
        max_length=100,
        widget=forms.TextInput(
            attrs={"placeholder": "Searched for (name, ID, UID)", "data-private": ""}
        ),
    )
    texts: ClassVar[tuple[str, ...]] = ("q", "searched")

    def clean_searched(self) -> list[str]:
        """The hashes to look for: what was typed goes no further."""
        return hashes_of(sought_terms(self.cleaned_data["searched"]))

    def clean_actor(self) -> UUID | None:
        """Find the person by user name, which is never used again, or by id."""
        username = self.cleaned_data["actor"].strip()
        if not username:
            return None
        with contextlib.suppress(ValueError):
            return UUID(username)
        user = User.objects.named(username).first()
        if user is None:
            raise ValidationError(f"Nobody has the user name {username}.", code="unknown_actor")
        return user.pk

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The events that pass."""
        return rows.filtered(**self.rules())  # type: ignore[attr-defined]  # an AuditEventQuerySet

    def rules(self) -> dict[str, Any]:
        """What the filters ask of events, as `AuditEventQuerySet.filtered` takes it."""
        rules = dict(self.given)
        period, kind = rules.pop("period", ""), rules.pop("kind", "")
        if period:
            rules["after"] = timezone.now() - PERIODS[Period(period)]
        if kind == EventKind.CHANGES:
            rules["besides"] = registry.reads | registry.refusals
        elif kind:
            rules["among"] = registry.reads if kind == EventKind.READS else registry.refusals
        return rules

    def used(self) -> dict[str, str]:
        """The filters that are set, for the trail itself.

        Free text is left out: somebody may have typed a patient's name into it.
        """
        chosen = {name: str(value) for name, value in self.given.items() if value}
        return {name: "(text)" if name in self.texts else value for name, value in chosen.items()}

    def terms(self) -> list[str]:
        """What was looked for in free text, to be hashed."""
        return search_terms(str(self.data.get(name, "")) for name in self.texts)


class AuditQuestionForm(AuditFilterForm):
    """The filters of the audit page: before all others stands whom or what one asks about."""

    about = forms.CharField(
        required=False,
        label="Who looked at …? What did … do?",
        max_length=150,
        help_text="A patient ID, an accession number, a Study Instance UID, a user name, "
        "an e-mail address or a person's full name, exactly as it is written.",
        widget=forms.TextInput(
            attrs={"type": "search", "autocomplete": "off", "data-private": "", "size": 34}
        ),
    )
    field_order = ("about",)
    texts = ("about", "q", "searched")

    def clean_about(self) -> list[Subject] | None:
        """Everything that is called so; None where nothing was asked."""
        text = self.cleaned_data["about"].strip()
        if not text:
            return None
        subjects = find_subjects(text)
        if not subjects:
            raise ValidationError(
                "Nobody and nothing is known by that. Check how it is written: capitals, spaces "
                "and leading zeros of an ID count.",
                code="unknown_subject",
            )
        return subjects

    def subjects(self) -> list[Subject]:
        """Whom and what was asked about."""
        return self.given.get("about") or []

    def used(self) -> dict[str, str]:
        """Name the records that were asked about by their ids."""
        used = super().used()
        for subject in self.subjects():
            for kind in ("people", "patients", "studies"):
                ids = ", ".join(str(pk) for pk in getattr(subject, kind)[:MOST_NAMED])
                if ids:
                    used[kind] = f"{used[kind]}, {ids}" if kind in used else ids
        return used

"""`manage.py open_event`: what an event of the audit trail keeps sealed, from the command line."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.audit import record_event
from accounts.choices import Action
from accounts.models import AuditEvent
from accounts.sealing import open_values


class Command(BaseCommand):
    """Prints what a record said before and after a change; the look itself is recorded."""

    help = "Print the values that an audit event keeps sealed: a patient's before and after."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("event", help="the event's id, as the audit page and its CSV give it")
        parser.add_argument("--reason", required=True, help="why, without the patient's name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Open and print."""
        try:
            event = AuditEvent.objects.filter(event_id=options["event"]).first()
        except ValidationError:
            event = None
        if event is None or not event.sealed:
            raise CommandError("There is no such event, or it keeps nothing sealed.")
        values = open_values(event.sealed)
        if values is None:
            raise CommandError("None of AUDIT_SEAL_KEYS opens it: add the key of its time.")
        record_event(
            action=Action.AUDIT_UNSEALED,
            actor=None,
            target=event,
            patient_id=event.patient_id,
            department_id=event.department_id,
            details={"reason": options["reason"]},
        )
        self.stdout.write(json.dumps(values, indent=2, ensure_ascii=False))

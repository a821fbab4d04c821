"""Everything that writes records: the one way in for files, and what ends a submission."""

from records.intake.declared import DeclaredFields
from records.services.nodes import (
    add_node,
    note_refused_association,
    remove_node,
    update_node,
)
from records.services.receiving import receive_file
from records.services.studies import complete_idle_studies, complete_study, state_kind
from records.services.submissions import (
    close_submission,
    open_submission,
    resolve_department,
    submit_study,
    sweep_submissions,
    touch_submission,
)

__all__ = [
    "DeclaredFields",
    "add_node",
    "close_submission",
    "complete_idle_studies",
    "complete_study",
    "note_refused_association",
    "open_submission",
    "receive_file",
    "remove_node",
    "resolve_department",
    "state_kind",
    "submit_study",
    "sweep_submissions",
    "touch_submission",
    "update_node",
]

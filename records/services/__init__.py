"""Everything that writes records: the one way in for files, and what ends a submission."""

from records.intake.declared import DeclaredFields
from records.services.exports import (
    clear_export,
    hand_out_export,
    request_export,
    sweep_exports,
)
from records.services.preparing import fail_export, prepare_export
from records.services.receiving import receive_file
from records.services.studies import complete_idle_studies, complete_study, state_kind
from records.services.submissions import (
    close_submission,
    open_submission,
    resolve_department,
    submit_study,
    sweep_submissions,
)

__all__ = [
    "DeclaredFields",
    "clear_export",
    "close_submission",
    "complete_idle_studies",
    "complete_study",
    "fail_export",
    "hand_out_export",
    "open_submission",
    "prepare_export",
    "receive_file",
    "request_export",
    "resolve_department",
    "state_kind",
    "submit_study",
    "sweep_exports",
    "sweep_submissions",
]

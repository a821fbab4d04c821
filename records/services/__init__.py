"""Everything that writes records: the one way in for files, and what ends a submission."""

from records.intake.declared import DeclaredFields
from records.services.receiving import receive_file
from records.services.studies import complete_idle_studies, complete_study, state_kind
from records.services.submissions import (
    close_submission,
    open_submission,
    resolve_department,
    submit_study,
    sweep_submissions,
)
from records.services.uploads import (
    abandon_upload,
    append_to_upload,
    cancel_upload,
    open_upload,
    sweep_uploads,
)

__all__ = [
    "DeclaredFields",
    "abandon_upload",
    "append_to_upload",
    "cancel_upload",
    "close_submission",
    "complete_idle_studies",
    "complete_study",
    "open_submission",
    "open_upload",
    "receive_file",
    "resolve_department",
    "state_kind",
    "submit_study",
    "sweep_submissions",
    "sweep_uploads",
]

"""Everything that writes records: the one way in for files, and what ends a submission."""

from records.dicom.reading.declared import DeclaredFields
from records.services.department_rules import (
    DepartmentChoice,
    add_rule,
    choose_department,
    declared_facts,
    remove_rule,
    update_rule,
)
from records.services.export_files import sweep_export_files
from records.services.exports import (
    claim_export,
    clear_export,
    expire_exports,
    hand_out_export,
    note_hold_seen,
    postpone_export,
    request_export,
    sweep_exports,
)
from records.services.holds import hold_study, lift_hold
from records.services.identity import Whose
from records.services.moving import move_study, move_study_of
from records.services.nodes import (
    add_node,
    confirm_node,
    decline_node,
    note_refused_association,
    remove_node,
    update_node,
)
from records.services.preparing import fail_export, prepare_export
from records.services.quarantine import discard_quarantined
from records.services.receiving import receive_file, receive_files
from records.services.resolutions import Standing, resolve_conflict, reverse_resolution, sent_of
from records.services.retention import apply_retention, delete_study, restore_study
from records.services.storage import scrub_storage, scrub_study, sweep_storage
from records.services.studies import complete_idle_studies, complete_study, state_kind
from records.services.submissions import (
    close_submission,
    open_submission,
    submit_study,
    sweep_submissions,
    touch_submission,
)
from records.services.uploads import (
    abandon_upload,
    append_to_upload,
    cancel_upload,
    open_upload,
    sweep_uploads,
)

__all__ = [
    "DepartmentChoice",
    "add_rule",
    "choose_department",
    "declared_facts",
    "move_study",
    "move_study_of",
    "remove_rule",
    "update_rule",
    "DeclaredFields",
    "Standing",
    "Whose",
    "abandon_upload",
    "add_node",
    "append_to_upload",
    "apply_retention",
    "cancel_upload",
    "claim_export",
    "clear_export",
    "close_submission",
    "complete_idle_studies",
    "complete_study",
    "confirm_node",
    "decline_node",
    "delete_study",
    "discard_quarantined",
    "expire_exports",
    "fail_export",
    "hand_out_export",
    "hold_study",
    "lift_hold",
    "note_hold_seen",
    "note_refused_association",
    "open_submission",
    "open_upload",
    "postpone_export",
    "prepare_export",
    "receive_file",
    "receive_files",
    "remove_node",
    "request_export",
    "resolve_conflict",
    "restore_study",
    "reverse_resolution",
    "scrub_storage",
    "scrub_study",
    "sent_of",
    "state_kind",
    "submit_study",
    "sweep_export_files",
    "sweep_exports",
    "sweep_storage",
    "sweep_submissions",
    "sweep_uploads",
    "touch_submission",
    "update_node",
]

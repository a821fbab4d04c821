"""What stands against a decision on a conflict or on a quarantined file."""

from accounts.errors import KnownError


class ConflictResolved(KnownError):
    """Somebody else was quicker."""

    code = "conflict_resolved"
    message = "This conflict is resolved already."
    action = "Look at the decision; reverse it if it is wrong."
    status = 409


class ConflictOpen(KnownError):
    """There is no decision to take back."""

    code = "conflict_open"
    message = "There is no decision on this conflict that could be reversed."
    action = "Decide on it."
    status = 409


class HeldSideOutOfSight(KnownError):
    """A decision would change a record that the person may not see."""

    code = "held_side_out_of_sight"
    message = "The patient who is held is another department's, so you can't decide this."
    action = "Keep the two apart, or correct what was sent."
    status = 409


class DecisionNotOffered(KnownError):
    """Another department's record stays its own, whatever this one decides."""

    code = "decision_not_offered"
    pointer = "/resolution"
    message = "This can't be decided here: the other department has a record of its own."
    action = "Keep the two apart; speak with the other department where its record is wrong."
    status = 409


class CorrectionContradicts(KnownError):
    """The corrected patient ID is held for yet another person."""

    code = "correction_contradicts"
    pointer = "/corrected"
    message = "The corrected patient ID is held with another {differing}."
    action = "Check the patient ID, and enter what is held for it or another ID."
    status = 409


class ChangedSince(KnownError):
    """A later decision built on the one to be reversed."""

    code = "changed_since"
    message = "What this decision changed has been changed again since."
    action = "Reverse the later decision first."
    status = 409


class AwaitsDecision(KnownError):
    """A quarantined file belongs to a conflict that is open."""

    code = "awaits_decision"
    message = "This file belongs to an identity conflict that nobody has decided."
    action = "Have the conflict decided first: the file may be needed."
    status = 409


class QuarantineEnded(KnownError):
    """The file is not in quarantine any more."""

    code = "quarantine_ended"
    message = "This file is not in quarantine any more."
    action = "Nothing to do."
    status = 409

"""Why images can't leave as de-identified copies."""

from accounts.errors import KnownError


class ExportNotAllowed(KnownError):
    """A study that the actor may not export; whether it exists isn't said."""

    code = "export_not_allowed"
    pointer = "/studies"
    message = "There is no such study that you may export."
    action = "Choose studies of a department in which you may export."
    status = 404


class ExportAcrossDepartments(KnownError):
    """One export belongs to one department."""

    code = "export_across_departments"
    pointer = "/studies"
    message = "The studies belong to several departments."
    action = "Export the studies of each department by themselves, for the same project."


class ExportOfOpenStudy(KnownError):
    """A copy of half a study would pass for the whole."""

    code = "export_of_open_study"
    pointer = "/studies"
    message = "A study is still arriving."
    action = "Export it once it is complete."
    status = 409


class ExportTooLarge(KnownError):
    """More than a worker prepares in one piece."""

    code = "export_too_large"
    pointer = "/studies"
    message = "The studies hold {count} images; at most {limit} are prepared at once."
    action = "Export fewer studies at a time, or ask your operator to run `manage.py deidentify`."


class ExportEmpty(KnownError):
    """Nothing of the studies can leave."""

    code = "export_empty"
    pointer = "/studies"
    message = "None of the objects of these studies can be de-identified."
    action = "Choose studies with images; reports and documents can't be exported."
    status = 422


class ExportTooSlow(KnownError):
    """A worker ran out of time."""

    code = "export_too_slow"
    message = "The images took longer to prepare than a worker has time for."
    action = "Export fewer studies at a time, or ask your operator to run `manage.py deidentify`."


class ExportBroken(KnownError):
    """Something that this list doesn't know; the log has the rest under the reference."""

    code = "export_broken"
    message = "Something went wrong on our side (reference {reference})."
    action = "Ask for the export again. If it happens again, give your administrator the reference."
    status = 500


class ExportNotHeld(KnownError):
    """Decisions are asked for only while an export is held back."""

    code = "export_not_held"
    message = "This export isn't waiting for a decision."
    action = "Look at its page: it may have gone on already."
    status = 409


class ExportHoldUnknown(KnownError):
    """A decision about an image that isn't held back in this export."""

    code = "export_hold_unknown"
    pointer = "/decisions"
    message = "One of the images isn't held back in this export."
    action = "Load the page again and decide about the images that it shows."


class ExportExpired(KnownError):
    """The file was there, and was removed at the end of its time."""

    code = "export_expired"
    message = "The file of this export was removed at the end of its time."
    action = "Ask for a new copy for the same project: it carries the same pseudonyms."
    status = 410


class ExportStudyDeleted(KnownError):
    """A copy of what was deleted leaves nobody's hands."""

    code = "export_study_deleted"
    message = "A study of this export was deleted, so the copy was given up."
    action = "If the study is restored, ask for a new copy for the same project."
    status = 410


class ExportStudyMoved(KnownError):
    """A copy is of one department's studies."""

    code = "export_study_moved"
    message = "A study of this export was moved to another department, so the copy was given up."
    action = "Have somebody of that department ask for a copy."
    status = 410


class ExportHoldUnseen(KnownError):
    """A decision about an image that was never drawn for the person who decides."""

    code = "export_hold_unseen"
    message = "You haven't been shown every frame of {count} of these images."
    action = "Look at each frame of them on the export's page, then decide."
    status = 409


class ExportNotReady(KnownError):
    """There is no file yet."""

    code = "export_not_ready"
    message = "The export isn't ready."
    action = "Wait until its page says that it is, or decide about the images held back."
    status = 409


class RegionUnreadable(KnownError):
    """A person asked to blacken something, but not what."""

    code = "region_unreadable"
    pointer = "/decisions"
    message = "The regions to blacken can't be read."
    action = "Write x, y, width and height as whole numbers, one region a line."

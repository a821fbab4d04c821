"""What stands against a rule of the departments, and against moving a study."""

from accounts.errors import KnownError


class RuleTaken(KnownError):
    """Two rules that ask for the same would differ by nothing."""

    code = "rule_taken"
    message = "There is a rule for the same images and the same department already."
    action = "Change that one."
    status = 409


class RuleSaysNothing(KnownError):
    """A rule that fits everything is no rule."""

    code = "rule_says_nothing"
    message = "The rule says nothing of the images."
    action = "State a modality, a body part or an AE title."


class StudyNotMovable(KnownError):
    """Moving asks for the right in both departments."""

    code = "study_not_movable"
    message = "You may not move studies from this department to that one."
    action = "Ask a reviewer of both departments, or an administrator."
    status = 403


class StudyThereAlready(KnownError):
    """The department is the study's own."""

    code = "study_there_already"
    message = "The study is in {department} already."
    action = "Nothing to do."
    status = 409


class StudyHeldThere(KnownError):
    """A department holds a UID once."""

    code = "study_held_there"
    message = "{department} holds this study, or images of it, already."
    action = "Delete the one that is wrong; a study can't be put into another."
    status = 409


class StudyStillOpen(KnownError):
    """What is still coming would come to the department that the study has left."""

    code = "study_still_open"
    message = "The study is still arriving."
    action = "Move it once it is complete."
    status = 409


class StudyInQuestion(KnownError):
    """Nobody knows yet whose it is, so that nobody knows whose record to find."""

    code = "study_in_question"
    message = "Whose this study is, is in question."
    action = "Decide on the conflict first, then move the study."
    status = 409


class StudyAmbiguous(KnownError):
    """Several departments hold a study of that UID."""

    code = "study_ambiguous"
    message = "Several departments hold a study of this UID: {departments}."
    action = "Say from which one it is to be moved."

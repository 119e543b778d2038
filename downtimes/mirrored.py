"""What the mirror knows of a bug that a window wants: who may read it, who has it. Words of bugs go no further."""

from ciduty.bugzilla.models import Bug, Visibility


def visibility_of(bug_id: int) -> str:
    """Return who may read a bug now; one that was never mirrored counts as restricted."""
    return Bug.objects.filter(pk=bug_id).values_list("visibility", flat=True).first() or Visibility.RESTRICTED


def is_placeholder(login: str) -> bool:
    """Answer whether a login is the one that Bugzilla assigns to bugs that nobody has taken (nobody@...)."""
    return login.partition("@")[0].lower() == "nobody"


def assignee_of(bug_id: int) -> str:
    """Return who has a bug, as a login in lower case; "" where nobody has it or nobody here may read it."""
    bug = Bug.objects.filter(pk=bug_id).exclude(visibility=Visibility.RESTRICTED).select_related("text").first()
    login = bug.text.assignee.lower() if bug is not None and hasattr(bug, "text") else ""
    return "" if is_placeholder(login) else login

"""The bug that is filed for an application: what stands in it, and what is known of the bug that is being debugged."""

from django.conf import settings

from ciduty import access
from ciduty.bugzilla.cleaning import clean_line
from ciduty.bugzilla.models import Bug, Visibility
from loaners import parsing
from loaners.models import Application

#: So much of the reason stands in the summary, beside class and person; a list of bugs shows no more of a line.
WORDS_IN_SUMMARY = 100


def about_debugged_bug(number: int, person) -> str:
    """Return what the mirror lets this person know of a bug, in one line; the same for a hidden one and an unknown."""
    bug = Bug.objects.filter(pk=number).select_related("text").first()
    readable = bug is not None and (
        bug.visibility == Visibility.PUBLIC
        or (bug.visibility == Visibility.STAFF and access.may_read_staff_words(person))
    )
    if readable and hasattr(bug, "text"):
        return f"Bug {number}{'' if bug.is_open else ' (closed)'}: {bug.text.summary}"
    return (
        f"Bug {number} was not checked: ciduty does not follow it, or may not show it. Only its number is written into "
        "the request."
    )


def fields_of(application: Application) -> dict:
    """Return the bug that is filed for an application: `parsing.parse` reads all of it back."""
    product, component = settings.CIDUTY_LOANER_COMPONENTS[0]
    fields = {
        "product": product,
        "component": component,
        "summary": _summary(application),
        "description": _description(application),
    }
    login = application.person.bugzilla_logins.order_by("pk").values_list("login", flat=True).first()
    return fields | ({"cc": [login]} if login else {})  # the bot files it: on CC they hear what is said


def _summary(application: Application) -> str:
    words = _first_words(application.why, WORDS_IN_SUMMARY)
    line = f"Loan a {application.machine_class} machine to {_name(application)}: {words}"
    return _first_words(line, parsing.LONGEST_SUMMARY)


def _first_words(text: str, most: int) -> str:
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    cut = line[: most - 3]
    return (cut.rpartition(" ")[0] or cut) + "..."


def _description(application: Application) -> str:
    bug = f"bug {application.debugging_bug}" if application.debugging_bug else "none yet"
    answers = {
        parsing.MACHINE_CLASS: str(application.machine_class),
        parsing.PERSON: _name(application),
        parsing.DEBUGGING: bug,
        parsing.UNTIL: application.until.isoformat(),
        parsing.ACCESS: application.access,
        parsing.TIME_ZONE: application.time_zone,
        parsing.SYSTEM_NEEDS: application.system_needs or "none",
    }
    lines = [f"{question}: {answer}" for question, answer in answers.items()]
    return "\n".join([*lines, f"{parsing.WHY}:", "", application.why])


def _name(application: Application) -> str:
    """Return how the bug, which everybody may read, calls the person: never by a mail address of ours."""
    return clean_line(str(application.person), 120)

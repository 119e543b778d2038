"""The demo's people, one for each role and named by it, its machines and lists. Bugs stand in the sandbox Bugzilla."""

from django.db import transaction

from ciduty.demo import changes, lists, machines
from ciduty.people.models import BugzillaLogin, Person
from ciduty.people.roles import Role

#: The password of every demo account; the sign-in page offers them with one click anyway.
PASSWORD = "demo-ciduty"


class NotEmpty(RuntimeError):
    """The database holds something that is not the demo's."""


def is_here() -> bool:
    """Answer whether this database holds the demo world, whose passwords everybody knows."""
    demo = Person.objects.filter(username__in=_names(), email__endswith="@example.com", name__startswith="Demo ")
    return demo.exists()


def _names() -> set[str]:
    return {role.value for role in Role if role != Role.PUBLIC}


@transaction.atomic
def load() -> bool:
    """Load the demo's people and machines into an empty database; returns False when they are there already.

    Raises NotEmpty when other people are, and the demo's are not.
    """
    there = set(Person.objects.values_list("username", flat=True))
    if _names() <= there:
        return False  # whoever was added in the demo stays
    if there - _names():
        raise NotEmpty("This database has people of its own; the demo world is only for an empty one.")
    for role in Role:
        if role != Role.PUBLIC and role.value not in there:
            person = Person(
                username=role.value, name=f"Demo {role.value}", email=f"{role.value}@example.com", role=role
            )
            person.set_password(PASSWORD)
            person.save()
            BugzillaLogin.objects.create(person=person, login=f"{role.value}@example.com")
    machines.load()
    lists.load()
    changes.load()
    return True

"""Measures the run sheet of a downtime with 60 items and 40 trees, beside a bare view of as many rows."""

from datetime import timedelta

from bench import loans

ITEMS, TREES = 60, 40


def measure() -> list:
    """Return the rows of the table."""
    from django.test import Client

    from ciduty.people.models import Person

    person = Person.objects.create(username="bench runs", role="duty")
    downtime = _fill(person)
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(person)
    what = f"the run sheet, {ITEMS} items, {TREES} trees"
    return loans.beside(browser, f"/downtimes/{downtime.pk}/run/", what, _bare, ITEMS + TREES)


def _fill(person):
    from ciduty import clock
    from ciduty.bugzilla.models import Bug, BugText
    from downtimes.models import Downtime, Item, RunTree

    at = clock.now()
    names = [f"tree-{number:02d}" for number in range(TREES)]
    downtime = Downtime.objects.create(
        state="running", title="Bench", starts_at=at - timedelta(hours=1), begun_at=at - timedelta(hours=1),
        ends_at=at + timedelta(hours=5), close="hard", trees=names, duty=person, made_by=person, made_at=at,
    )  # fmt: skip
    numbers = range(9_100_000, 9_100_000 + ITEMS)
    facts = {"status": "NEW", "visibility": "public", "offered": "public"}
    Bug.objects.bulk_create(Bug(id=number, created_at=at, changed_at=at, read_at=at, **facts) for number in numbers)
    BugText.objects.bulk_create(
        BugText(bug_id=number, summary=f"Reboot host {number}", creator="developer@example.com") for number in numbers
    )
    Item.objects.bulk_create(
        Item(
            downtime=downtime, bug_id=number, position=place, public_text=f"Reboot of host {number}", minutes=5,
            rollback_minutes=5, worker="worker@example.com", steps="Stop, reboot, look.", rollback="Start the old one.",
        )
        for place, number in enumerate(numbers)
    )  # fmt: skip
    RunTree.objects.bulk_create(
        RunTree(downtime=downtime, name=name, position=place, asked_at=at) for place, name in enumerate(names)
    )
    return downtime


def _bare():
    from downtimes.models import Item, RunTree

    items = [(one.bug_id, one.public_text, one.downtime.begun_at) for one in Item.objects.select_related("downtime")]
    return items + [(one.name, one.only_message, one.asked_at) for one in RunTree.objects.all()]

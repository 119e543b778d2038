"""What is said shortly before a downtime begins, written down once each; and what is drafted once it is overdue.

An hour before, who works in it is told to be there; a quarter of an hour before, duty touches base. Which reminders to
answer are due stands in `downtimes/reminders.py`.
"""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Lower
from django.template.loader import render_to_string
from django.urls import reverse

from ciduty import clock
from ciduty.outbox import composing, post, purposes
from ciduty.outbox.models import Mail
from ciduty.outbox.rules import Priority
from ciduty.people.models import BugzillaLogin
from downtimes import notice_times, notices
from downtimes.models import Downtime, Item, RunStep
from downtimes.rules import Close, ItemState, Kind, State
from downtimes.run.rules import REMIND_BEFORE, TOUCH_BASE_BEFORE, Step

REMINDER = "downtimes: it begins soon"
HOUR, QUARTER = "hour", "quarter"
#: A new end is told in such steps, and is at least so far away: less is no news.
STEP, LEAST = timedelta(minutes=15), timedelta(minutes=30)


def remind() -> int:
    """Write every reminder of a start that is due now; returns how many. Safe to call twice and at the same time."""
    at = clock.now()
    near = _near(at).order_by("starts_at", "pk").values_list("pk", flat=True)
    return sum(_remind(pk) for pk in near)


def _near(at: datetime):
    announced = Downtime.objects.filter(state=State.ANNOUNCED, kind=Kind.PLANNED, held_at=None)
    return announced.filter(starts_at__gt=at, starts_at__lte=at + REMIND_BEFORE)


@transaction.atomic
def _remind(pk: int) -> int:
    at = clock.now()
    downtime = _near(at).select_for_update(of=("self",)).select_related("duty").filter(pk=pk).first()
    if downtime is None:
        return 0
    due = _due(downtime, at)
    keys = {address: key_of(downtime, kind, address) for address, kind in due.items()}
    written = set(Mail.objects.filter(key__in=keys.values()).values_list("key", flat=True))
    new = [address for address in due if keys[address] not in written]
    for address in new:
        _mail(downtime, due[address], address, keys[address])
    return len(new)


def _due(downtime: Downtime, at: datetime) -> dict[str, str]:
    """Return whom what is owed to now: who works in it the hour, duty the hour or, once that is over, the quarter."""
    due = dict.fromkeys(_workers_of(downtime), HOUR)
    if downtime.duty and downtime.duty.email:
        due[downtime.duty.email.lower()] = QUARTER if at >= downtime.starts_at - TOUCH_BASE_BEFORE else HOUR
    return due


def _workers_of(downtime: Downtime) -> list[str]:
    """Return the addresses of who works in it, each once: of their account, else the login, which is an address."""
    logins = {item.worker.lower() for item in downtime.items.all() if item.worker}
    known = BugzillaLogin.objects.annotate(lower=Lower("login")).filter(lower__in=logins)
    emails = {row.lower: row.person.email for row in known.select_related("person")}
    addresses = (emails.get(login) or login for login in sorted(logins))
    return list(dict.fromkeys(address.lower() for address in addresses if "@" in address))


def key_of(downtime: Downtime, kind: str, address: str) -> str:
    """Return the key of one reminder: there is one for each person and start."""
    return f"{downtime.about} begins {_start_of(downtime)} {kind} to {address}"[:200]


def _start_of(downtime: Downtime) -> str:
    return f"{downtime.starts_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _mail(downtime: Downtime, kind: str, address: str, key: str) -> Mail:
    sheet = f"{settings.SITE_URL.rstrip('/')}{reverse('run_downtime', args=[downtime.pk])}"
    words = {
        "downtime": downtime,
        "starts_at": notices.moment(downtime.starts_at),
        "clock": f"{downtime.starts_at.astimezone(UTC):%H:%M} UTC",
        "window": notice_times.in_three_zones(downtime.starts_at, downtime.ends_at),
        "trees": ", ".join(downtime.trees),
        "close": Close(downtime.close).label if downtime.close in Close.values else "",
        "sheet": sheet,
        "team": settings.CIDUTY_TEAM,
        "channel": settings.CIDUTY_CHANNEL,
    } | _not_done_yet(downtime)
    text = render_to_string(f"downtimes/mail/reminder-{kind}.txt", words)
    subject, _, body = text.partition("\n")
    return post.mail(
        key=key, purpose=REMINDER, about=downtime.about, to=address, subject=subject[: composing.LONGEST_SUBJECT],
        text=composing.wrapped(body.strip("\n")), priority=Priority.URGENT, not_after=downtime.starts_at,
    )  # fmt: skip


def _not_done_yet(downtime: Downtime) -> dict:
    done = set(RunStep.objects.filter(downtime=downtime).values_list("step", flat=True))
    before = (Step.NORMAL, Step.TOUCHED_BASE, Step.REPLIES_READ, Step.SHERIFF_TOLD)
    return {"open_steps": [step.label for step in before if step not in done]}


def register() -> None:
    """Make known why people are written to shortly before a start."""
    purposes.register(purposes.Purpose(REMINDER, "Reminder that a downtime begins", may_still_go))


def may_still_go(row: Mail) -> purposes.Stop | None:
    """Drop a reminder of a start that is not to be any more."""
    number = row.about.removeprefix("downtime ")
    downtime = Downtime.objects.filter(pk=number).first() if number.isdecimal() else None
    if downtime is None or downtime.state != State.ANNOUNCED or downtime.held_at is not None:
        return purposes.Stop("The downtime does not begin as it was announced: nobody is reminded.", for_good=True)
    if not row.key.startswith(f"{downtime.about} begins {_start_of(downtime)} "):
        return purposes.Stop("The downtime begins at another time by now: nobody is reminded of this one.", True)
    return None


# --- past its end -----------------------------------------------------------------------------------------------------


def overdue_draft(downtime: Downtime, at: datetime) -> tuple[datetime, str]:
    """Return a new end and the words for it, drafted from the work that is not over. At most one query.

    The end is a quarter of an hour's; each piece of work gets what is left of its planned minutes.
    """
    items = [item for item in downtime.items.all() if item.state in (ItemState.PLANNED, ItemState.UNDER_WAY)]
    left = sum((_left_of(item, at) for item in items), timedelta())
    ends_at = _round_up(max(at + max(left, LEAST), (downtime.ends_at or at) + STEP))
    return ends_at, _because(items)


def _left_of(item: Item, at: datetime) -> timedelta:
    planned = timedelta(minutes=item.minutes or 0)
    if item.state == ItemState.UNDER_WAY and item.started_at is not None:
        return max(planned - (at - item.started_at), timedelta())
    return planned


def _round_up(at: datetime) -> datetime:
    whole = at.replace(minute=0, second=0, microsecond=0)
    return whole + -((whole - at) // STEP) * STEP


def _because(items: list[Item]) -> str:
    moving = [f"bug {item.bug_id}" for item in items if item.state == ItemState.UNDER_WAY]
    waiting = [f"bug {item.bug_id}" for item in items if item.state == ItemState.PLANNED]
    said = []
    if moving:
        said.append(f"{_named(moving)} {_are(moving)} still under way.")
    if waiting:
        said.append(f"{_named(waiting)} {_has(waiting)} not begun yet.")
    return " ".join(said) or "The work is over, and the trees are being checked before they reopen."


def _named(bugs: list[str]) -> str:
    named = bugs[0] if len(bugs) == 1 else f"{', '.join(bugs[:-1])} and {bugs[-1]}"
    return named[:1].upper() + named[1:]


def _are(things: list) -> str:
    return "is" if len(things) == 1 else "are"


def _has(things: list) -> str:
    return "has" if len(things) == 1 else "have"

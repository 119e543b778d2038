"""Asks people to agree: first the workers, which freezes the version, then the pre-approvers; copies to the lists.

What counts as agreement: `agreement.py`; what the mails say: `notices.py`; how they are answered: `answering.py`.
"""

from datetime import date, datetime

from django.conf import settings
from django.db import transaction

from ciduty import clock, states
from ciduty.people.models import Approver, BugzillaLogin, Person
from ciduty.record import write
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from downtimes import agreement, notices, rules, sign_off, versions
from downtimes.facts import facts_of
from downtimes.models import Ask, Downtime, ListUse, MailingList, NoticeVersion
from downtimes.rules import MOVES, Asked, State

ASK_WORKERS = "ask for agreement"
ASK_PRE_APPROVERS = agreement.ASKED_PRE_APPROVERS
ALL_YOUR_OWN = (
    "You do all the work of this window yourself, and no one approves their own draft: let somebody else of {team} ask "
    "for agreement."
)
NOBODY_ELSE = (
    "No pre-approver is there but whoever made this version, and no one approves their own draft: a lead adds another "
    "under Lists and approvers."
)
AS_BEFORE = (
    "Nothing was changed since version {number}, and everybody was asked about it: look at who has not answered."
)


def lock(downtime: Downtime) -> None:
    """Let two who act on one downtime come in turn, and bring it up to date."""
    Downtime.objects.select_for_update().get(pk=downtime.pk)
    downtime.refresh_from_db()


# --- the verbs --------------------------------------------------------------------------------------------------------


@transaction.atomic
def ask_workers(downtime: Downtime, *, by, op: str) -> NoticeVersion:
    """Freeze the notice and ask everybody who works in the window; returns the version (R22).

    `op` names the form: sent twice, it asks once. Raises NotAllowed with every reason that stands against it.
    """
    lock(downtime)
    before = _asked_before(downtime, ASK_WORKERS, op)
    if before is not None:
        return before
    at = clock.now()
    _refuse(ASK_WORKERS, downtime, at)
    last = versions.newest(downtime)
    until = agreement.half_way(at, downtime.starts_at)
    version = versions.freeze(downtime, by=by, at=at, answers_until=until)
    workers = _others_than_makers(version, workers_of(version))
    if not workers:
        raise NotAllowed(ALL_YOUR_OWN.format(team=settings.CIDUTY_TEAM))
    asks = _ask_all(version, [(worker, None) for worker in workers], Asked.WORKER, by=by, at=at)
    if version == last and (downtime.state == State.ANNOUNCED or (downtime.state == State.AGREEING and not asks)):
        raise NotAllowed(AS_BEFORE.format(number=version.number))
    mails = [ask.mail_id for ask in asks]
    if last is not None and version != last:
        mails += _tell_who_was_asked_before(last, version, {worker.pk for worker in workers}, by=by)
    _write(downtime, ASK_WORKERS, version, f"asked {_people(len(asks), 'worker')}", mails, by=by, at=at, op=op)
    return version


@transaction.atomic
def ask_pre_approvers(downtime: Downtime, *, by, op: str) -> NoticeVersion:
    """Ask the pre-approvers about the newest version, before any list hears of it, and copy it to the lists (R23, R24).

    Pressed again it asks those who have come since and those whose link is locked. Raises NotAllowed.
    """
    lock(downtime)
    before = _asked_before(downtime, ASK_PRE_APPROVERS, op)
    if before is not None:
        return before
    if downtime.state != State.AGREEING:
        raise NotAllowed(
            f"This downtime is {downtime.get_state_display().lower()}: ask the workers for agreement first."
        )
    at = clock.now()
    _refuse(ASK_PRE_APPROVERS, downtime, at)
    version = versions.newest(downtime)
    present = pre_approvers_on(at.astimezone(settings.CIDUTY_CALENDAR.tzinfo).date(), agreement.makers(version))
    if not present:
        raise NotAllowed(NOBODY_ELSE)
    again = agreement.were_pre_approvers_asked(version)
    asks = _ask_all(version, present, Asked.PRE_APPROVER, by=by, at=at)
    if again and not asks:
        raise NotAllowed(AS_BEFORE.format(number=version.number))
    lists = MailingList.objects.filter(use=ListUse.COPY, is_used=True)
    mails = [ask.mail_id for ask in asks] + [notices.copy(one, version, by=by).pk for one in lists]
    _write(
        downtime, ASK_PRE_APPROVERS, version, f"asked {_people(len(asks), 'pre-approver')}", mails, by=by, at=at, op=op
    )
    return version


def may_be_asked(role: Asked, downtime: Downtime) -> bool:
    """Answer whether people may be asked in a role at all while the downtime is where it is."""
    return MOVES.allow(ASK_WORKERS, downtime.state) if role == Asked.WORKER else downtime.state == State.AGREEING


def is_anybody_left(role: Asked, downtime: Downtime, is_current: bool, at: datetime) -> bool:
    """Answer whether there is anybody to ask: the button belongs on the page; what stands against it is said beside it.

    `is_current`: what would be sent now is the newest version.
    """
    version = versions.newest(downtime)
    if not may_be_asked(role, downtime):
        return False
    if role == Asked.WORKER and (version is None or not is_current or downtime.state == State.DRAFT):
        return True
    if version is None or downtime.state != State.AGREEING:
        return False
    asked = {ask.approver_id: ask for ask in version.asks.all()}
    if any(sign_off.is_locked(ask) and ask.role == role for ask in asked.values()):
        return True
    if role == Asked.WORKER:
        return False
    present = pre_approvers_on(at.astimezone(settings.CIDUTY_CALENDAR.tzinfo).date(), agreement.makers(version))
    return not agreement.were_pre_approvers_asked(version) or any(one.pk not in asked for one, _ in present)


def _refuse(verb: str, downtime: Downtime, at: datetime) -> None:
    against = rules.refusals(verb, facts_of(downtime, at))
    if against:
        raise NotAllowed(" ".join(against))


def _asked_before(downtime: Downtime, verb: str, op: str) -> NoticeVersion | None:
    """Return the version that the same form asked about before."""
    entry = Entry.objects.filter(about=downtime.about, verb=verb, after__op=op).first()
    return downtime.versions.get(number=entry.after["version"]) if entry else None


def _write(downtime: Downtime, verb: str, version, what: str, mails, *, by, at: datetime, op: str) -> None:
    sentence = f"Version {version.number}: {what}"
    after = {"op": op, "version": version.number}
    caused = [f"mail {pk}" for pk in mails]
    if verb == ASK_WORKERS:
        entry = {"after": after | {"state": str(MOVES.target(verb))}, "caused": caused}
        states.move(downtime, MOVES, verb, sentence, by=by, at=at, entry=entry)
    else:
        write.entry(downtime.about, verb, sentence, by=by, at=at, after=after, caused=caused)


def _people(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# --- who is asked -----------------------------------------------------------------------------------------------------


def workers_of(version: NoticeVersion) -> list[Approver]:
    """Return who works in the window as the version names them, each person once, in the order of the work."""
    logins = dict.fromkeys(item["worker"] for item in version.content["items"] if item["worker"])
    return list(dict.fromkeys(worker_of(login) for login in logins))


def worker_of(login: str) -> Approver:
    """Return the approver behind a Bugzilla login, which is a mail address there; one who is new is written down."""
    known = BugzillaLogin.objects.filter(login__iexact=login).select_related("person").first()
    person = known.person if known else None
    theirs = Approver.objects.filter(person=person).first() if person else None
    if theirs is not None:
        return theirs
    address = person.email if person and person.email else login
    new = {"name": str(person or login)[:120], "address": address[:254], "person": person}
    row, _ = Approver.objects.get_or_create(address__iexact=address, defaults=new)  # two downtimes may ask at once
    return _joined(row, person)


def _joined(row: Approver, person: Person | None) -> Approver:
    """Join an approver who had no account yet with the account of the same address: one person is one row."""
    if person is not None and row.person_id is None:
        row.person = person
        row.save(update_fields=["person"])
    return row


def pre_approvers_on(day: date, left_out: frozenset[int]) -> list[tuple[Approver, Approver | None]]:
    """Return who is asked on a day of the desk, each once, and whom they stand in for (None: for themselves)."""
    asked: dict[Approver, Approver | None] = {}
    for wanted in Approver.objects.pre_approvers().select_related("alternate").exclude(pk__in=left_out):
        found = _present(wanted, day, left_out)
        if found == wanted:
            asked[found] = None
        else:
            asked.setdefault(found, wanted)
    return list(asked.items())


def _present(wanted: Approver, day: date, left_out: frozenset[int]) -> Approver:
    """Return who answers in their place: themselves, or the first alternate in a row who is there, or themselves."""
    one, looked_at = wanted, set()
    while one is not None and one.pk not in looked_at:
        if one.is_active and one.pk not in left_out and not one.is_absent(day):
            return one
        looked_at.add(one.pk)
        one = one.alternate
    return wanted


def _others_than_makers(version: NoticeVersion, people: list[Approver]) -> list[Approver]:
    own = agreement.makers(version)
    return [one for one in people if one.pk not in own]


# --- asking -----------------------------------------------------------------------------------------------------------


def _ask_all(version: NoticeVersion, people, role: Asked, *, by, at: datetime) -> list[Ask]:
    """Ask those who were not asked about this version, and anew those whose link is locked; returns their asks."""
    there = {ask.approver_id: ask for ask in version.asks.select_related("approver")}
    asks = []
    for approver, instead_of in people:
        ask = there.get(approver.pk)
        if ask is None or (sign_off.is_locked(ask) and ask.role == role):
            asks.append(_ask(version, approver, role, instead_of, ask, by=by, at=at))
        elif instead_of is not None and ask.instead_of_id is None:  # a worker who stands in: one ask for each person
            Ask.objects.filter(pk=ask.pk).update(instead_of=instead_of)
    return asks


def _ask(version: NoticeVersion, approver: Approver, role: Asked, instead_of, old: Ask | None, *, by, at) -> Ask:
    token, code = sign_off.new_token(), sign_off.new_code()
    ask = old or Ask(version=version, approver=approver, role=role, instead_of=instead_of, asked_at=at)
    ask.token_sha256, ask.code_sha256 = sign_off.hash_of_token(token), sign_off.hash_of_code(token, code)
    ask.expires_at, ask.wrong_codes = version.downtime.starts_at, 0
    ask.save()
    ask.mail_id = notices.question(ask, token, code, by=by).pk
    ask.save(update_fields=["mail_id"])
    return ask


def _tell_who_was_asked_before(last: NoticeVersion, version: NoticeVersion, asked_now: set[int], *, by) -> list[int]:
    """Mail the difference to those who were asked about the version before and are not asked now."""
    asks = last.asks.select_related("approver", "version").exclude(approver__in=asked_now | agreement.makers(version))
    return [notices.outdated(ask, version, by=by).pk for ask in asks.order_by("pk")]

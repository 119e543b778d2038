"""Writes the digests that are due, each once; looks again before one leaves; stops where an address takes no mail.

How far a reader was told moves in the transaction that writes the mail: whoever was down catches up with one mail, and
two workers at once write one. A mail whose words do not stand any more is cancelled and written anew.
"""

from datetime import UTC, datetime

import structlog
from django.conf import settings
from django.db import transaction
from django.http import QueryDict
from django.urls import reverse

from changelog import find
from changelog.digests import letters, news, rules, subscribing, tokens
from changelog.digests.letters import Letter
from changelog.models import Subscription
from changelog.models.digests import Rhythm, SubscriptionState
from changelog.public import filters
from ciduty import clock
from ciduty.outbox import as_sent, composing, post, purposes
from ciduty.outbox.models import Incoming, IncomingKind, Mail
from ciduty.outbox.purposes import Purpose, Stop
from ciduty.outbox.rules import Priority, State

log = structlog.get_logger(__name__)

DIGEST = "changes: digest"
ENDED = Stop("The digest was ended meanwhile.", for_good=True)
#: What stands on a row that is written anew; one that its server may have taken already is not, for it would be two.
READS_OTHERWISE = Stop("What it tells reads otherwise now: it is written anew.", for_good=True)
MAY_HAVE_GONE = Stop("What it tells reads otherwise now, and it may have gone out before.", for_good=True)
_STAMP = "%Y%m%dT%H%M%S.%fZ"


class FilterIsGone(LookupError):
    """A stored filter cannot be read by this version."""


def register() -> None:
    """Make the purposes known; called from `AppConfig.ready()`."""
    purposes.register(Purpose(subscribing.CONFIRM, "Question whether an address wants a digest"))
    purposes.register(Purpose(DIGEST, "Digest of changes", may_still_go, happened))


def send_due(at: datetime | None = None) -> int:
    """Write every digest that is due at a moment, by default now; returns how many mails.

    Safe to call twice and at the same time. Nothing new: no mail. While no mail server is set, readers wait: the first
    digest afterwards tells it all.
    """
    at = at or clock.now()
    if not settings.EMAIL_URL:
        return 0
    subscribing.forget_unconfirmed(at)
    written = 0
    for rhythm in Rhythm:
        slot = rules.newest_slot(settings.CIDUTY_CALENDAR, rhythm == Rhythm.WEEKLY, at)
        due = Subscription.objects.filter(
            state=SubscriptionState.ACTIVE, rhythm=rhythm, told_until__lt=slot - rules.SETTLES
        )
        for pk in list(due.order_by("pk").values_list("pk", flat=True)):
            written += _write_due(pk, slot, at)
    return written


def _write_due(pk: int, slot: datetime, at: datetime) -> int:
    """Write the digest of one subscription, and move on how far it was told; 0 where nothing is new."""
    with transaction.atomic():
        locked = Subscription.objects.select_for_update().filter(pk=pk, state=SubscriptionState.ACTIVE)
        subscription = locked.filter(told_until__lt=slot - rules.SETTLES).first()
        if subscription is None:
            return 0
        since, until = subscription.told_until, at - rules.SETTLES
        try:
            written = _write(subscription, since, until, key=f"digest {pk} {slot:%Y%m%dT%H%MZ}")
        except FilterIsGone:
            log.error("The filter of a digest cannot be read; it is not sent.", subscription=pk)
            return 0
        Subscription.objects.filter(pk=pk).update(told_until=until)
    return written


def _write(subscription: Subscription, since: datetime, until: datetime, *, key: str) -> int:
    letter = letter_of(subscription, since, until)
    if letter is None:
        return 0
    leave = _leave_page(subscription)
    Subscription.objects.filter(pk=subscription.pk).update(leave_sha256=subscription.leave_sha256)
    post.mail(
        key=key, purpose=DIGEST, about=subscription.about, to=subscription.address, subject=letter.subject,
        text=letter.text, priority=Priority.BULK, batch=_stretch(since, until), leave=leave,
    )  # fmt: skip
    return 1


def letter_of(subscription: Subscription, since: datetime, until: datetime) -> Letter | None:
    """Return the digest of a stretch of time as it reads now, None where nothing is new. Raises FilterIsGone."""
    query, problems = filters.read(QueryDict(subscription.query))
    if problems:
        raise FilterIsGone(str(subscription))
    query = find.without_time(query)
    told = news.of(query, since, until, began=subscription.confirmed_at)
    if not told:
        return None
    words = filters.in_words(query) if subscription.query else ""
    return letters.digest(subscription, told, since, until, words=words, leave=_leave_page(subscription))


def _leave_page(subscription: Subscription) -> str:
    try:
        token = tokens.leave_token_of(subscription)
    except LookupError:  # the key was changed and the one before it not kept: older mails' links are dead anyway
        token = tokens.leave_token(subscription.confirm_sha256)
        subscription.leave_sha256 = tokens.hash_of(token)
    return settings.SITE_URL + reverse("leave_digest", args=[token])


# --- before it leaves, and after --------------------------------------------------------------------------------------


def may_still_go(row: Mail) -> Stop | None:
    """Stop a digest that was ended, or in which a line reads otherwise by now: held, withdrawn, corrected."""
    subscription = _subscription_of(row)
    if subscription is None:
        return ENDED
    letter = letter_of(subscription, *_read_stretch(row.batch))
    if letter is not None and composing.body(letter.text) == as_sent.read(row.message).text:
        return None
    return MAY_HAVE_GONE if row.state in (State.UNKNOWN, State.SENDING) else READS_OTHERWISE


def happened(row: Mail) -> None:
    """Write a digest anew that was stopped because it read otherwise; end one whose address takes no mail."""
    subscription = _subscription_of(row)
    if subscription is None:
        return
    if row.state == State.CANCELLED and row.last_words == READS_OTHERWISE.why:
        _write_anew(row, subscription)
    came_back = Incoming.objects.filter(mail=row, kind=IncomingKind.BOUNCE).exists()
    if row.state == State.FAILED and rules.is_refused_for_good(row.last_code, came_back):
        subscribing.stop(subscription)


def _write_anew(row: Mail, subscription: Subscription) -> None:
    first, _, number = row.key.partition(" again ")
    number = int(number or 1) + 1
    if number > rules.MOST_WRITINGS:
        log.error("A digest read otherwise each time that it was to leave; it is given up.", mail=row.pk)
        return
    _write(subscription, *_read_stretch(row.batch), key=f"{first} again {number}")


def _subscription_of(row: Mail) -> Subscription | None:
    number = row.about.rpartition(" ")[2]
    return Subscription.objects.filter(pk=number, state=SubscriptionState.ACTIVE).first()


def _stretch(since: datetime, until: datetime) -> str:
    return " ".join(at.astimezone(UTC).strftime(_STAMP) for at in (since, until))


def _read_stretch(text: str) -> tuple[datetime, datetime]:
    since, until = (datetime.strptime(at, _STAMP).replace(tzinfo=UTC) for at in text.split())
    return since, until

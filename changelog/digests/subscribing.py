"""Who gets a digest: asked for on a page, confirmed from the mailbox itself, left with one click. Mails: `letters.py`.

Asking gives the same answer whatever is known of an address, and the same mail; only its owner's click decides.
"""

import hashlib
import hmac
from datetime import datetime

from django.conf import settings
from django.db import transaction

from changelog.digests import letters, rules, tokens
from changelog.models import Subscription
from changelog.models.digests import SubscriptionState
from ciduty import clock, states
from ciduty.outbox import post
from ciduty.outbox.models import Mail
from ciduty.states import Moves, NotAllowed

MOVES = Moves(
    {
        "confirm": ([SubscriptionState.ASKED], SubscriptionState.ACTIVE),
        "replace": ([SubscriptionState.ACTIVE], SubscriptionState.ENDED),  # confirmed anew, with another rhythm
        "leave": ([SubscriptionState.ACTIVE], SubscriptionState.ENDED),
        "stop": ([SubscriptionState.ACTIVE], SubscriptionState.ENDED),  # its address takes no mail
    }
)
CONFIRM = "changes: confirm a digest"
TOO_MANY = (
    f"From where you are, {rules.MOST_PER_CALLER} digests were asked for within a day: wait until tomorrow, and ask "
    "again then."
)


def ask(address: str, query: str, rhythm: str, *, op: str, from_address: str) -> None:
    """Send an address the link that confirms a digest; `query` is the canonical filter, "" for everything.

    `op` names the form: sent twice, it is one mail. An address that had three such mails within a day gets no more, and
    nobody is told so. Raises NotAllowed when too many were asked for from one place.
    """
    at = clock.now()
    key = f"digest confirm {op} {_mark('form', address.lower(), query, rhythm)}"
    if Mail.objects.filter(key=key).exists():
        return
    batch = f"digests asked from {_mark('caller', from_address)}"
    if Mail.objects.filter(batch=batch, created_at__gt=at - rules.DAY).count() >= rules.MOST_PER_CALLER:
        raise NotAllowed(TOO_MANY)
    asked = Subscription.objects.filter(address__iexact=address, asked_at__gt=at - rules.DAY)
    if asked.count() >= rules.MOST_PER_ADDRESS:
        return
    token = tokens.new_token()
    with transaction.atomic():
        subscription = _asked(address, query, rhythm, tokens.hash_of(token), at)
        letter = letters.question(subscription, token, at)
        mail = post.mail(
            key=key, purpose=CONFIRM, about=subscription.about, to=address, subject=letter.subject, text=letter.text,
            batch=batch, not_after=at + rules.CONFIRM_WITHIN,
        )  # fmt: skip
        if mail.about != subscription.about:  # the same form came twice at the same moment: the other one counts
            subscription.delete()


def _asked(address: str, query: str, rhythm: str, confirm_sha256: str, at: datetime) -> Subscription:
    return Subscription.objects.create(
        address=address, query=query, rhythm=rhythm, asked_at=at, confirm_sha256=confirm_sha256,
        leave_sha256=tokens.hash_of(tokens.leave_token(confirm_sha256)),
    )  # fmt: skip


def _mark(*parts: str) -> str:
    """Return a keyed hash of what must not stand in a row as it is typed."""
    text = "\0".join(("digests", *parts)).encode()
    return hmac.new(settings.SECRET_KEY.encode(), text, hashlib.sha256).hexdigest()[:32]


def asked_with(token: str, at: datetime) -> Subscription | None:
    """Return the subscription that a mail's link confirms, or None: never made, or a week old and not confirmed."""
    found = Subscription.objects.filter(confirm_sha256=tokens.hash_of(token)).first()
    if found is None or (found.state == SubscriptionState.ASKED and at - found.asked_at > rules.CONFIRM_WITHIN):
        return None
    return found


@transaction.atomic
def confirm(subscription: Subscription) -> bool:
    """Let a digest begin; what was published from now on is told. Returns False for one that had begun, or ended.

    The same filter confirmed anew takes the place of the one before, and nothing is told twice or left out.
    """
    at = clock.now()
    same = Subscription.objects.filter(address__iexact=subscription.address, query=subscription.query)
    same = list(same.select_for_update().order_by("pk"))  # all of them: two links clicked at once come in turn
    subscription.refresh_from_db()
    if subscription.state != SubscriptionState.ASKED:
        return False
    told = [(at, at)]
    for one in same:
        if one.state == SubscriptionState.ACTIVE:
            told.append((one.told_until, one.confirmed_at))
            _end(one, "replace", f"Replaced {one} by {subscription}.", at)
    told_until, confirmed_at = min(told)
    states.move(
        subscription, MOVES, "confirm", f"Confirmed {subscription}.", at=at, entry={"from_outside": True},
        confirmed_at=confirmed_at, told_until=told_until,
    )  # fmt: skip
    return True


def left_with(token: str) -> Subscription | None:
    """Return the subscription that a digest's link ends, or None for a link that was never made."""
    return Subscription.objects.filter(leave_sha256=tokens.hash_of(token)).exclude(confirmed_at=None).first()


@transaction.atomic
def leave(subscription: Subscription) -> None:
    """End a digest for good, and forget the address. Safe to call twice.

    The link of an old mail ends what took its place as well: whoever clicks it wants no more of these.
    """
    if not subscription.address:  # left before
        return
    same = Subscription.objects.filter(address__iexact=subscription.address, query=subscription.query)
    at = clock.now()
    for one in same.select_for_update().filter(state=SubscriptionState.ACTIVE).order_by("pk"):
        _end(one, "leave", f"Left {one}.", at, from_outside=True)
    same.exclude(state=SubscriptionState.ASKED).update(address="")
    subscription.refresh_from_db()


def stop(subscription: Subscription) -> None:
    """End a digest whose address takes no mail; who wants it again asks again. Raises NotAllowed when it ended."""
    _end(subscription, "stop", f"Stopped {subscription}: its address takes no mail.", clock.now())


def _end(subscription: Subscription, verb: str, sentence: str, at: datetime, *, from_outside: bool = False) -> None:
    states.move(subscription, MOVES, verb, sentence, at=at, entry={"from_outside": from_outside}, ended_at=at)


def forget_unconfirmed(at: datetime) -> None:
    """Forget the addresses that somebody typed and nobody confirmed."""
    old = Subscription.objects.filter(state=SubscriptionState.ASKED, asked_at__lt=at - rules.CONFIRM_WITHIN - rules.DAY)
    old.delete()

"""The keys of programs that act for a person: made, looked up, revoked. Only a hash is kept; pages: `token_views.py`.

A key dies with its date, with its owner's account, and as soon as its owner's role may not do what it was made for.
"""

import hashlib
import re
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from ciduty import access, clock
from ciduty.bugzilla.cleaning import clean_line
from ciduty.people.models import ApiToken, Person, TokenScope
from ciduty.record import write
from ciduty.states import NotAllowed

KEY_BYTES = 32  # 256 bits: nobody guesses one, so a plain hash finds it and tells nothing
#: Scanners of published code know a key by its beginning (safety.md C5).
_KEY = re.compile(r"cdy_[A-Za-z0-9_-]{43}")
#: safety.md C5: a key lives a year at most.
LONGEST_LIFE = timedelta(days=365)
#: A program that asks ten times a second shall not write ten times a second.
USED_EVERY = timedelta(minutes=1)
LONGEST_NAME = 120

#: What the owner of a key must be allowed to do for each of its scopes (access.py).
RIGHTS = {
    TokenScope.PROPOSE: "propose changes",
    TokenScope.PUBLISH: "publish changes",
    TokenScope.READ: "see own things",
}


def make(
    person: Person, name: str, scopes: Collection[str], expires_at: datetime, by: Person, at: datetime
) -> tuple[ApiToken, str]:
    """Make a key for a program of this person, and return its row and the key: nobody can be shown it again.

    Raises NotAllowed for a scope that the person's role does not have, a life of more than a year, or a name that
    another living key of theirs has: the same form sent twice makes one key.
    """
    name = clean_line(name, LONGEST_NAME)
    chosen = [scope for scope in TokenScope if scope in scopes]
    key = f"cdy_{secrets.token_urlsafe(KEY_BYTES)}"
    with transaction.atomic():
        person = Person.objects.select_for_update().get(pk=person.pk)
        refusal = _why_not(person, name, chosen, expires_at, at)
        if refusal:
            raise NotAllowed(refusal)
        token = ApiToken.objects.create(
            person=person, name=name, starts_with=key[:8], sha256=hash_of(key), scopes=[str(scope) for scope in chosen],
            made_at=at, made_by=by, expires_at=expires_at,
        )  # fmt: skip
        may = ", ".join(chosen)
        sentence = f"Made {token} for person {person.pk} until {expires_at:%Y-%m-%d}; it may {may}."
        write.entry(token.about, "make", sentence, by=by, at=at)
    return token, key


def _why_not(person: Person, name: str, scopes: list[TokenScope], expires_at: datetime, at: datetime) -> str:
    if not name:
        return "Name the program: the list tells by it which key is whose."
    if not scopes:
        return "Choose at least one thing that the key may do."
    if not person.is_active:
        return f"{person} may not sign in, so no key of theirs would work: choose somebody else."
    lacking = lacking_scopes(person, scopes)
    if lacking:
        may_not = ", ".join(scope.label.lower() for scope in lacking)
        return f"{person} may not do this themselves, so no key of theirs may: {may_not}."
    if not at < expires_at <= at + LONGEST_LIFE:
        return f"A key lives {LONGEST_LIFE.days} days at most: choose an earlier day, after today."
    if ApiToken.objects.filter(person=person, name=name, revoked_at=None, expires_at__gt=at).exists():
        return (
            f"{person} has a key called “{name}” already, and it was shown once. If you do not have it, revoke it in "
            "the list and make another one."
        )
    return ""


def lacking_scopes(person: Person, scopes: Collection[str]) -> list[TokenScope]:
    """Return those of these scopes that the person's role does not cover."""
    return [scope for scope in map(TokenScope, scopes) if not access.may(person, RIGHTS[scope])]


def hash_of(key: str) -> str:
    """Return what is stored of a key, and finds it again."""
    return hashlib.sha256(key.encode()).hexdigest()


def holder_of(key: str, at: datetime) -> ApiToken | None:
    """Return the row of a key that is good at a moment, its person selected, or None for any other.

    It is found by its hash, so how long that takes tells nothing of other keys. That it was used is written at most
    once a minute. One query, or two.
    """
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        return None
    token = ApiToken.objects.select_related("person").filter(sha256=hash_of(key)).first()
    if token is None or why_dead(token, at):
        return None
    if token.last_used_at is None or at - token.last_used_at >= USED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=at - USED_EVERY)
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=at)
        token.last_used_at = at
    return token


def why_dead(token: ApiToken, at: datetime) -> str:
    """Return why a key does not work at a moment, in a few words, or "" while it does. Wants `person` selected."""
    if token.revoked_at is not None:
        return "revoked"
    if at >= token.expires_at:
        return "expired"
    if not token.person.is_active:
        return "its owner may not sign in"
    if lacking_scopes(token.person, token.scopes):
        return "its owner may not do this any more"
    return ""


def revoke(token: ApiToken, by: Person) -> bool:
    """End a key at once; returns False for one that was revoked before."""
    at = clock.now()
    with transaction.atomic():
        if not ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=at):
            return False
        write.entry(token.about, "revoke", f"Revoked {token}.", by=by, at=at)
    return True

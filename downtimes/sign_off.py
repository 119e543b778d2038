"""The token and the code of a mail that asks one person to agree: made, kept as hashes, compared. Decides nothing else.

A link shows and never decides (design.md, decision 6): the token finds the page, the code in the mail's text decides.
"""

import hashlib
import hmac
import secrets

from django.conf import settings
from django.db import transaction

from ciduty import clock
from ciduty.people import throttle
from downtimes.models import Ask

TOKEN_BYTES = 32  # 256 bits: nobody guesses one
CODE_DIGITS = 6
#: Ten guesses of a million: then the link takes no code any more (safety.md C4).
MOST_WRONG_CODES = 10
#: Under this name the throttle counts wrong codes of an address; no account can be called so.
THROTTLED_AS = "sign-off code"

LOCKED = (
    f"{MOST_WRONG_CODES} wrong codes were typed here, so this link takes no code any more. Sign in with your account "
    "to answer, or reply to the mail: {team} asks you anew."
)
WRONG = "This is not the code of your mail: it has six digits and stands below the link. Nothing was decided."


def new_token() -> str:
    """Return a token for one mail to one person."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def new_code() -> str:
    """Return six digits for the text of the same mail."""
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"


def hash_of_token(token: str) -> str:
    """Return what is stored of a token, and finds it again."""
    return hashlib.sha256(token.encode()).hexdigest()


def hash_of_code(token: str, code: str) -> str:
    """Return what is stored of a code. Its salt is the token, which stands nowhere here."""
    return hashlib.sha256("\0".join(("sign-off", token, code)).encode()).hexdigest()


def ask_of(token: str) -> Ask | None:
    """Return what a token was made for, or None for one that was never made or was replaced."""
    found = Ask.objects.select_related("approver__person", "instead_of", "version__downtime", "version__made_by")
    return found.filter(token_sha256=hash_of_token(token)).first()


def is_locked(ask: Ask) -> bool:
    """Answer whether too many wrong codes were typed for it."""
    return ask.wrong_codes >= MOST_WRONG_CODES


def why_not_locked() -> str:
    """Return the sentence for an ask that takes no code any more."""
    return LOCKED.format(team=settings.CIDUTY_TEAM)


@transaction.atomic
def refuse_code(ask: Ask, token: str, code: str, *, from_address: str) -> str:
    """Return why a code does not decide, as a sentence, or "" when it is the right one. Counts the wrong ones.

    Guesses that come at the same moment come in turn: ten of them are ten.
    """
    ask = Ask.objects.select_for_update().get(pk=ask.pk)
    at = clock.now()
    if is_locked(ask):
        return why_not_locked()
    blocked_until = throttle.blocked_until(THROTTLED_AS, from_address, at)
    if blocked_until is not None:
        return f"Too many wrong codes came from where you are: wait until {blocked_until:%H:%M} UTC and type it again."
    if hmac.compare_digest(ask.code_sha256, hash_of_code(token, code)):
        return ""
    Ask.objects.filter(pk=ask.pk).update(wrong_codes=ask.wrong_codes + 1)
    throttle.failed(THROTTLED_AS, from_address, at)
    return why_not_locked() if ask.wrong_codes + 1 >= MOST_WRONG_CODES else WRONG

"""The tokens of a digest's links: one that confirms it, one that ends it. Made, kept as hashes, looked up.

Both are 256 bits. The first is random and stands in one mail. The second stands in every digest, so it is made anew
for each: of the secret key and of the first one's hash, which no other subscription has, and which is new with each.
"""

import base64
import hashlib
import hmac
import secrets

from django.conf import settings

from changelog.models import Subscription

TOKEN_BYTES = 32
_SALT = "ciduty.changelog.digests.leave"


def new_token() -> str:
    """Return a token for the one mail that asks."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def hash_of(token: str) -> str:
    """Return what is stored of a token, and finds it again."""
    return hashlib.sha256(token.encode()).hexdigest()


def leave_token(confirm_sha256: str, key: str | None = None) -> str:
    """Return the token that ends a subscription, made with the present secret key or with another."""
    mark = hmac.new((key or settings.SECRET_KEY).encode(), f"{_SALT}\0{confirm_sha256}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(mark.digest()).rstrip(b"=").decode()


def leave_token_of(subscription: Subscription) -> str:
    """Return the token that ends this subscription, the same in each of its mails, even after the key was rotated.

    Raises LookupError when it was made with a key that nobody kept.
    """
    for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        token = leave_token(subscription.confirm_sha256, key)
        if hmac.compare_digest(hash_of(token), subscription.leave_sha256):
            return token
    raise LookupError(f"The link that ends {subscription} was made with a key that is gone.")

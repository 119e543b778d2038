"""Slows down the guessing of passwords: counts failed sign-ins. Whether a password is right is not decided here.

Names and addresses are kept as keyed hashes only: people type passwords into the wrong box.
"""

import hashlib
import hmac
import ipaddress
from datetime import datetime, timedelta

from django.conf import settings

from ciduty.people.models import FailedSignIn

WINDOW = timedelta(minutes=15)
#: One account from one address: room for a bad morning, 40 guesses an hour for a robot.
MOST_PER_NAME_AND_ADDRESS = 10
#: Any accounts from one address; an office behind one address shares it, so it is wide.
MOST_PER_ADDRESS = 50


def blocked_until(name: str, address: str, at: datetime) -> datetime | None:
    """Return until when this account may not be tried from this address, or None when it may be."""
    recent = FailedSignIn.objects.filter(at__gt=at - WINDOW).order_by("-at")
    limits = [
        (recent.filter(pair=_hash(name.casefold(), address)), MOST_PER_NAME_AND_ADDRESS),
        (recent.filter(address=_hash(address)), MOST_PER_ADDRESS),
    ]
    # It is free again when the oldest of the last `most` failures leaves the window.
    ends = [oldest + WINDOW for rows, most in limits for oldest in rows.values_list("at", flat=True)[most - 1 : most]]
    return max(ends, default=None)


def failed(name: str, address: str, at: datetime) -> None:
    """Write down a failed sign-in, and forget those that no longer count."""
    FailedSignIn.objects.filter(at__lte=at - WINDOW).delete()
    FailedSignIn.objects.create(pair=_hash(name.casefold(), address), address=_hash(address), at=at)


def succeeded(name: str, address: str) -> None:
    """Forget the failures of an account from an address, once its password was right there."""
    FailedSignIn.objects.filter(pair=_hash(name.casefold(), address)).delete()


def address_of(request) -> str:
    """Return who asks: an IPv4 address or the /64 of an IPv6 one; behind our proxy, what the proxy added last."""
    told = request.META.get("HTTP_X_FORWARDED_FOR", "") if settings.BEHIND_PROXY else ""
    address = told.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR", "")
    try:
        return str(ipaddress.ip_network((address, 64), strict=False)) if ":" in address else address
    except ValueError:
        return address


def _hash(*parts: str) -> str:
    return hmac.new(settings.SECRET_KEY.encode(), "\0".join(("sign-in", *parts)).encode(), hashlib.sha256).hexdigest()

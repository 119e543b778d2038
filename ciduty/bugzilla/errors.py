"""The outcomes of a call that did not succeed. Every failure of the border is one of these, and none holds the key."""

import re

from ciduty.bugzilla.cleaning import clean_line

#: Error codes (bugzilla/README.md). HTTP 401 does not mean a bad key: the code decides.
NO_SUCH_BUG = {100, 101, 102}
NOT_SIGNED_IN = {300, 301, 305, 306, 410}
RATE_LIMIT = 32000  # bugzilla.mozilla.org's; upstream uses it for whatever else it has no code for
_SPEAKS_OF_A_LIMIT = re.compile(r"\brate\b|limit|too many|throttl|slow down", re.IGNORECASE)
SENTENCE = 300


class BugzillaFailure(Exception):
    """A call to Bugzilla did not give what was asked. `str()` is one sentence for a person."""


class NotVisible(BugzillaFailure):
    """The bug does not exist or this key may not see it; Bugzilla does not always say which."""


class Rejected(BugzillaFailure):
    """Bugzilla understood and refused. `code` is its error code."""

    def __init__(self, sentence: str, code: int = 0):
        super().__init__(sentence)
        self.code = code


class Auth(BugzillaFailure):
    """The key is missing, wrong, revoked or not signed in: nothing may be asked until that is mended."""


class Throttled(BugzillaFailure):
    """Bugzilla limits our rate or blocks our address: nobody may ask again before the block is over."""


class Unavailable(BugzillaFailure):
    """No usable answer came.

    `reached`: a server answered at all, so that smaller questions may help. `sent`: the question may have arrived.
    """

    def __init__(self, sentence: str, reached: bool = False, sent: bool = True):
        super().__init__(sentence)
        self.reached, self.sent = reached, sent


class Unknown(BugzillaFailure):
    """A write may or may not have been applied: read before anything else is written."""


def of_code(code, words: str, what: str) -> BugzillaFailure:
    """Return the failure that Bugzilla's own error stands for; `code` is an int on 5.2 and a text on 5.3."""
    try:
        code = int(code)
    except (TypeError, ValueError):
        code = 0
    if code in NO_SUCH_BUG:
        return NotVisible(f"Bugzilla does not show {what} (code {code})")
    if code in NOT_SIGNED_IN:
        return Auth(f"Bugzilla does not accept the key (code {code}): check BUGZILLA_API_KEY")
    if code == RATE_LIMIT and (not words or _SPEAKS_OF_A_LIMIT.search(words)):
        return Throttled("Bugzilla limits our rate (code 32000)")
    return Rejected(f"Bugzilla refused {what} (code {code}): {clean_line(words, SENTENCE)}", code)


def of_status(status: int, what: str) -> BugzillaFailure:
    """Return the failure that an answer without JSON stands for, by its HTTP status."""
    if status == 429:
        return Throttled("Bugzilla limits our rate (HTTP 429)")
    if status == 404:
        return Unavailable("Bugzilla's API is not at this address (HTTP 404): check BUGZILLA_URL", reached=True)
    return Unavailable(f"Bugzilla answered HTTP {status} and no JSON to work with when asked for {what}", reached=True)


def of_text(body: str) -> Unavailable:
    """Return the failure that an answer with a good status and no JSON stands for."""
    start = body.lstrip()[:200].lower()
    if not start:
        return Unavailable("Bugzilla answered with an empty page (its database may be down)", reached=True)
    if start.startswith("<"):
        return Unavailable(
            "Bugzilla answered with a web page instead of data: is BUGZILLA_URL the address of a Bugzilla?",
            reached=True,
        )
    return Unavailable("Bugzilla's answer is no JSON or was cut off", reached=True)

"""The outcomes of a call that did not succeed. Every failure of the border is one of these, and none holds the key."""


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
    """No usable answer came. `reached` tells whether a server answered at all, so that smaller questions may help."""

    def __init__(self, sentence: str, reached: bool = False):
        super().__init__(sentence)
        self.reached = reached


class Unknown(BugzillaFailure):
    """A write may or may not have been applied: read before anything else is written."""

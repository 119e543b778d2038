"""What sort of change a message tells of, and whether a robot wrote it: only where the words leave no doubt. Pure."""

import re

from changelog.rules import Kind

# What stands before the words: "Bug 1550183 - ", "No bug: ", "MANUAL PUSH: No Bug - ".
_BEFORE_WORDS = re.compile(
    r"(?:(?:no[ -]bug|bug[ #]{0,2}[0-9]{4,7}|manual push)(?:\s{0,2}\([^()]{0,60}\))?[\s,:;.-]{0,4}){1,3}", re.IGNORECASE
)
_NO_BUG = re.compile(r"no[ -]bug[\s,:;.-]{1,4}", re.IGNORECASE)

_TREES = r"(?:autoland|mozilla-[\w-]{1,20}|comm-[\w-]{1,20}|inbound|try|(?:all\s|the\s){0,2}trees?)"
# "Closed autoland for bustage", "mozilla-central: reopened"; not the "CLOSED TREE" that most backouts end in.
_CLOSES = re.compile(
    rf"(?:(?:re-?)?(?:open|close|opening|closing|opened|closed)\s(?:the\s)?{_TREES}\b(?!\s(?:config|repo))"
    rf"|{_TREES}:?\s(?:is\s|are\s)?(?:(?:re-?)?opened|closed|approval required)\b)",
    re.IGNORECASE,
)
_DEPLOYS = re.compile(r"(?:re-?)?deploy(?:ed|s|ing)?\s", re.IGNORECASE)
# "update the wayland images", "roll out new generic worker image"; not "use docker images for debian packages".
_IMAGES = re.compile(
    r"(?:[\w-]{1,20}(?:\([\w-]{1,30}\))?: |[A-Z]{3,10}-[0-9]{1,6}:? )?"
    r"(?:updat|upgrad|bump|rebuil|switch|us|roll ?out|rollout|promot|revert)(?:e|es|ed|ing|d|t|s)?\b.{0,100}"
    r"\b(?:(?:worker|vm|ami|monopacker|azure|gcp|aws|wayland|windows|win[0-9]{1,4}|headless|alpha|shared)[ -]images?"
    r"|docker[ -]image|image(?= to ))\b",
    re.IGNORECASE,
)


def kind_of(first_line: str) -> str:
    """Return the Kind that the first line of a message tells of, or ""."""
    words = first_line[prefix.end() :] if (prefix := _BEFORE_WORDS.match(first_line)) else first_line
    if _CLOSES.match(words):
        return Kind.TREE
    if _DEPLOYS.match(words):
        return Kind.DEPLOY
    if _IMAGES.match(words):
        return Kind.IMAGE
    return ""


_ROBOT = re.compile(
    # Gecko's own robots, and merges: nobody decides anything in either.
    r"automat(?:ic|ed) (?:update|version|bump|vendor|release|sync|import|merge|l10n|dependency|tag)"
    r"|added \w{1,60} tag\(?s?\)? for changeset|(?:mozilla-\w{1,20} )?repo-update|tagging \w"
    r"|update configs\. ignore broken|bump(?:ing)? (?:gaia|mozharness)\.\w"
    r"|merge (?:pull request #|branch '|remote-tracking branch|tag '|commit '|[\w./-]{1,40} (?:in)?to )"
    r"|merge [\w.-]{1,40}(?: \([^()]{0,60}\))?\W{0,3}(?:a=merge|$)"
    # What keeps requirements up to date: Dependabot, Renovate, pyup, pre-commit, pip-compile.
    r"|bump [@\w./-]{1,80} (?:and [@\w./-]{1,80} )?from v?[0-9]|update \S{1,80} from v?[0-9][\w.]{0,30} to v?[0-9]"
    r"|(?:build|chore|fix)\(deps(?:-dev)?\): |chore: update dependenc|update dependency \S{1,80} to |pin dependenc"
    r"|lock ?file maintenance|(?:update|bump) (?:all )?pinned dependenc|bump dependencies\b"
    r"|update (?:python )?requirements\b.{0,20}$|scheduled (?:weekly|monthly|daily) dependency update"
    r"|\[pre-commit\.ci\]|pre-commit autoupdate"
    # Translations.
    r"|import(?:ed)? translations from|pontoon: ",
    re.IGNORECASE,
)
_BY_ROBOT = re.compile(
    r"^(?:automatic update from |automated changes by |signed-off-by: (?:dependabot|renovate|pyup)"
    r"|this (?:pr|change) was automatically )",
    re.IGNORECASE | re.MULTILINE,
)


def is_automatic(message: str, first_line: str) -> bool:
    """Answer whether a robot wrote it, or nobody thought about it: in doubt somebody did."""
    words = first_line[prefix.end() :] if (prefix := _NO_BUG.match(first_line)) else first_line
    return bool(_ROBOT.match(words) or _BY_ROBOT.search(message[:20_000]))

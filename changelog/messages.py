"""What the text of a change says: its bugs, reviewers, backouts, worker pools. Pure; linear in the text's length.

Every expression here begins with letters that must stand there, and repeats no more often than a written number: a
hostile text of a megabyte costs no more than its length. What was seen in real histories decides: see the table
in tests/test_changelog_messages.py.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from changelog import pools, sorts
from changelog.rules import Kind, Platform

#: What stands further back than this in a message is not looked at: a backout of 473 changesets takes 22,000, and what
#: is kept of a message is a fourth of it.
LONGEST_READ = 40_000
#: The longest list of what was taken back in one change; 473 in one were seen.
MOST_TAKEN_BACK = 1_000


@dataclass(frozen=True)
class Read:
    """What was found, each in the order in which it stands there, each once."""

    bugs: tuple[int, ...] = ()
    reviewers: tuple[str, ...] = ()
    takes_back: tuple[str, ...] = ()  # revisions as they are named, in lower case, 7 to 40 hex digits
    pools: tuple[str, ...] = ()
    platforms: tuple[Platform, ...] = ()
    kind: str = ""  # a Kind where the words leave no doubt, else ""
    is_automatic: bool = False  # a machine wrote it: vendoring, pinned requirements, version bumps by robots


def read(message: str) -> Read:
    """Return what a message says."""
    message = message[:LONGEST_READ]
    folded = message.lower()  # most texts say nothing of most of these: a look for the letters is cheap
    first_line = message.lstrip()[:500].partition("\n")[0]
    deployed = pools.deployed(message)
    named = tuple(dict.fromkeys([*deployed, *pools.named(message)]))
    return Read(
        bugs=bugs_of(message),
        reviewers=_reviewers(message) if "=" in folded or "reviewed-by" in folded else (),
        takes_back=_takes_back(message) if "back" in folded or "revert" in folded else (),
        pools=named,
        platforms=tuple(dict.fromkeys([*pools.platforms_of(named), *pools.platforms_in_words(first_line)])),
        kind=Kind.DEPLOY if deployed else sorts.kind_of(first_line),
        is_automatic=sorts.is_automatic(message, first_line),
    )


platforms_of = pools.platforms_of

# --- bugs ------------------------------------------------------------------------------------------------------------

# "Bug 1561582 -", "(bug 123456, bug 234567)", "bug1534727", "Bug #: 1489405", "bug no. 123456", "Bugs 1561582 and
# 1561583". Nothing below 10,000 is a bug that anybody still works on, and years look just so.
_BUG = re.compile(r"bugs?(?:\s{0,3}\b(?:no|number|id)\b\.?)?[\s#:=_.–-]{0,4}([0-9]{5,7})(?![0-9a-z_])")
_ADDRESS = re.compile(r"show_bug\.cgi\?(?:[\w%.+-]{1,40}=[\w%.+-]{0,80}&){0,4}id=([0-9]{1,7})(?![0-9])")
_SHORT_ADDRESS = re.compile(r"bugzil(?:\.la|la\.mozilla\.org)/([0-9]{4,7})(?![0-9])")
_AS_OF_OLD = re.compile(r"b\s?=\s?([0-9]{5,7})(?![0-9a-z_])")
# What goes on after a number: ", 1561583", " and 1561583", "/1561583".
_AND_BUG = re.compile(r"\s{0,2}(?:,\s{0,2}(?:and\s|&)?|[/&+;]|and\s|or\s)\s{0,2}#?([0-9]{6,7})(?![0-9a-z_])")
_NO = re.compile(r"\bno\s{0,3}$")
_HOST = re.compile(r"//(?:[\w-]+\.)+[a-z]{2,10}/\S{0,60}$")


def bugs_of(text: str) -> tuple[int, ...]:
    """Return the bugs of bugzilla.mozilla.org that a text names, each once, in its order.

    No bug are: "#239" and "D34945", the 20220 of "No bug - 20220", `test_bug331215.html`, WebKit's show_bug.cgi.
    """
    text = text.lower()
    found: list[tuple[int, int]] = []
    if "bug" in text:
        found += _bugs_in_words(text)
        found += [(one.start(), int(one[1])) for one in _ADDRESS.finditer(text) if _is_ours(text, one.start())]
        found += [(one.start(), int(one[1])) for one in _SHORT_ADDRESS.finditer(text)]
    if "=" in text:
        before = ((one, text[max(0, one.start() - 1) : one.start()]) for one in _AS_OF_OLD.finditer(text))
        found += [
            (one.start(), int(one[1])) for one, letter in before if not (letter.isalnum() or letter in tuple("_&?-"))
        ]
    return tuple(dict.fromkeys(number for _, number in sorted(found)))


def _bugs_in_words(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each bug stands, and its number."""
    for named in _BUG.finditer(text):
        start, end = named.span()
        if start and (
            text[start - 1].isalpha() or text[start - 1] == "_" or _NO.search(text, max(0, start - 6), start)
        ):
            continue
        yield start, int(named[1])
        while further := _AND_BUG.match(text, end):
            yield further.start(), int(further[1])
            end = further.end()


def _is_ours(text: str, start: int) -> bool:
    """Answer whether an address is not in the Bugzilla of somebody else: WebKit and others have one too."""
    host = _HOST.search(text, max(0, start - 80), start)
    return host is None or "mozilla" in host[0]


# --- reviewers -------------------------------------------------------------------------------------------------------

_SAID = re.compile(r"=(?=[A-Za-z#@:<\[])")
_FLAG = re.compile(r"(?<![\w./?&=+-])(?:r|a|sr|rs|ui-r|ba)$", re.IGNORECASE)
_REVIEWER = re.compile(r"[#@:<\[]?([a-z][\w.+-]{0,60})(@[\w.-]{1,80})?(?:\[[^\[\]\s]{0,40}\])?[>!\]]?(?![=?\w])", re.I)
_MORE_REVIEWERS = re.compile(
    r"((?:,\s{1,2}[#@:]?[a-z][\w.+-]{1,60}){1,10})[ .)]{0,3}(?=$|\n|CLOSED|DONTBUILD|\b[ar]=)", re.I
)
_REVIEWED_BY = re.compile(r"^Reviewed-by:[ \t]{0,5}([^<\n]{0,80})(?:<([^@>\n]{1,80}))?", re.MULTILINE | re.IGNORECASE)
# What stands behind r= or a= and is nobody.
_NOBODY = frozenset(
    "me self trivial bustage backout back-out backedout partial-backout merge same-version-merge version-bump release "
    "test-only testonly test tests npotb nptob npodb npobt doc docs comment-only comments lint typo tag tagging fix "
    "build build-only config config-only tree nobody none tbd try red orange burning sheriff l10n "
    "bump manual auto repo-update automatic automated reviewed review approval approved mobile desktop "
    "beta esr oops pr followup follow-up restore cleanup reland relanding revert".split()
)


def _reviewers(message: str) -> tuple[str, ...]:
    """Return who reviewed or approved: accounts as they are named. Who was only asked (`r?`) is not among them."""
    found: dict[str, None] = {}
    for said in _SAID.finditer(message):
        if not _FLAG.search(message, max(0, said.start() - 4), said.start()):
            continue
        end = said.end()
        while one := _REVIEWER.match(message, end):
            _add_reviewer(found, one[1])
            end = one.end()
            if message[end : end + 1] not in (",", ";", "/", "&", "|") or message[end + 1 : end + 2].isspace():
                break
            end += 1
        if more := _MORE_REVIEWERS.match(message, end):
            for name in more[1].split(","):
                _add_reviewer(found, name.strip(" #@:"))
    for trailer in _REVIEWED_BY.finditer(message):
        _add_reviewer(found, trailer[1].partition("@")[0].strip() or trailer[2] or "")
    return tuple(found)


def _add_reviewer(found: dict[str, None], name: str) -> None:
    name = name.rstrip(".,;:!?)-+")
    if len(name) > 1 and name.lower() not in _NOBODY and len(found) < 50:
        found[name] = None


# --- backouts --------------------------------------------------------------------------------------------------------

_TAKES_BACK = re.compile(r"(?<![\w-])(?:back(?:ed|ing|s)?[ -]?out|revert(?:s|ed|ing)?)(?![\w-])", re.IGNORECASE)
# "X was reverted", "after backing out X", "until reverted": told of another change, not done by this one.
_ONLY_TOLD = re.compile(
    r"\b(?:was|were|been|being|is|got|get|since|after|before|to|if|when|then|not|never|later|previously|originally|by|from)"
    r"\s{1,3}$",
    re.IGNORECASE,
)
# What may stand between the verb and the first revision: "the relevant parts of", "3 changesets", "commit".
_BETWEEN = re.compile(
    r"(?:the|this|these|those|a|an|all|both|hg|git|merge|last|previous|following|original|entire|whole|most|recent"
    r"|of|from|in|commits?|change-?sets?|changes?|csets?|cs|revisions?|revs?|patch(?:es)?|push|landing|part|parts|relevant"
    r"|[\w.-]{1,20}(?=\s{1,2}(?:parts?|in)\b)|[0-9]{1,4})(?![\w-])",
    re.IGNORECASE,
)
_REVISION = re.compile(
    r"(?:https?://[\w./%-]{1,200}/(?:rev|commit|changeset)/)?([0-9a-f]{7,40})(?![\w-])", re.IGNORECASE
)
_APART = re.compile(r"[\s,;:&*`'\"“”-]{1,20}")
_ASIDE = re.compile(r"\([^()]{0,400}\)|\"[^\"]{0,300}\"")
_AND = re.compile(r"(?:and|plus|as well as)(?!\w)", re.IGNORECASE)


def _takes_back(message: str) -> tuple[str, ...]:
    """Return the revisions that a change takes back, as it names them.

    "Restore the hooks (backed out changeset 046d8b6c6b5a)" does so too: in its history that changeset had removed
    them. "X, which is superseded by changeset Y" takes back X alone.
    """
    found: dict[str, None] = {}
    end = 0
    for verb in _TAKES_BACK.finditer(message):
        if verb.start() < end or _ONLY_TOLD.search(message, max(0, verb.start() - 14), verb.start()):
            continue
        listed, end = _revisions(message, verb.end())
        found |= dict.fromkeys(listed)
        if len(found) >= MOST_TAKEN_BACK:
            break
    return tuple(found)[:MOST_TAKEN_BACK]


def _revisions(message: str, at: int) -> tuple[list[str], int]:
    """Return the revisions that are listed from here on, and where the list ends."""
    listed: list[str] = []
    while at < len(message):
        revision = _REVISION.match(message, at)
        if revision and _is_revision(revision[1]):
            listed.append(revision[1].lower())
            at = revision.end()
            continue
        further = _APART.match(message, at) or _ASIDE.match(message, at) or _AND.match(message, at)
        further = further or _BETWEEN.match(message, at)
        if not further or (listed and "\n\n" in further[0]):
            break
        at = further.end()
    return listed, at


def _is_revision(name: str) -> bool:
    """Answer whether hex digits are a revision: a short one has digits and letters, or it may be a bug or a word."""
    if len(name) >= 12:
        return True
    return not (name.isdigit() or name.isalpha() or (name[0] == "D" and name[1:].isdigit()))  # D168700 is a review


# --- people -----------------------------------------------------------------------------------------------------------

_MAIL_ADDRESS = re.compile(r"<[^<>\n]{0,300}>?|\((?=[^()\s]{1,100}@)[^()]{0,200}\)|[\[\"]?\bmailto:")
_MAILBOX = re.compile(r"(?:[0-9]+\+)?([^\s@<>()\"]{1,100})@[^\s@<>()\"]{1,200}")


def name_of(person: str) -> str:
    """Return a person's name without an address: `A Developer <developer@example.com>` is A Developer.

    Of an address alone the part before the @ stays.
    """
    person = person[:1_000]
    name = _MAIL_ADDRESS.sub(" ", person).strip(" \t\r\n\"',;")
    if not name:
        name = person.strip(' <>\t\r\n"')
    return " ".join(_MAILBOX.sub(lambda mailbox: mailbox[1], name).split())

"""The border to Bugzilla's REST API: validated values in, one of six failures out; alone imports python-bugzilla.

Rules: safety.md F6. Which bugs are asked for, and what becomes of them, is not decided here.
"""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol

import bugzilla
import requests
from bugzilla.exceptions import BugzillaError, BugzillaHTTPError
from celery.exceptions import SoftTimeLimitExceeded

from ciduty.bugzilla import errors, values
from ciduty.bugzilla.errors import Auth, BugzillaFailure, NotVisible, Rejected, Unavailable, Unknown
from ciduty.bugzilla.session import BorderSession

NO_MATCH_FOR_STRANGERS = 505
NOT_TAKEN = (
    "Bugzilla does not take the key where it is sent and answers as to a stranger: "
    "check the key, or set BUGZILLA_KEY_IN=query for a server that ignores the header"
)

MOST_CANDIDATES = 200  # among so many new bugs one of ours is looked for: each is a question
IDS_AT_ONCE = 200  # the address stays under 8 KiB; bugzilla.mozilla.org answers 414 above


class Gate(Protocol):
    """What stands before every call: the breaker of this address and key."""

    def ask(self) -> None:
        """Raise Throttled or Auth when nothing may be asked now."""

    def failed(self, failure: BugzillaFailure) -> None:
        """Learn from a failure."""

    def answered(self) -> None:
        """Learn that Bugzilla answered."""


class OpenGate:
    """No breaker: for the benchmark and for tests of the border alone."""

    def ask(self):
        """Let every call through."""

    def failed(self, failure):
        """Remember nothing."""

    def answered(self):
        """Remember nothing."""


class Client:
    """One Bugzilla, seen with one key. Builds the connection at the first call; not to be shared across a fork."""

    def __init__(
        self, address: str, key: str, *, key_in="header", login="", version="", gate: Gate | None = None, session=None
    ):
        """`version` is Bugzilla's where it is known already: python-bugzilla asks for it at every start."""
        self.address = address.rstrip("/")  # a trailing slash silently drops python-bugzilla's /rest
        self.login = login
        self.session = session or BorderSession(key, key_in)
        self.session.version = version
        self._has_key = bool(key)
        self._key_is_usable = key.isascii() and key.isprintable()
        self._gate = gate or OpenGate()
        self._rest = None

    def __repr__(self):
        return f"<Client of {self.address}>"

    # --- signing in -------------------------------------------------------------------------------------------------

    def signed_in_as(self) -> str:
        """Return the login of the key, or "" where it is signed in but Bugzilla does not say as whom.

        Raises Auth when the key is not signed in.
        https://bugzilla.readthedocs.io/en/latest/api/core/v1/user.html - `whoami` is 404 on 5.2, which also ignores the
        key header and answers 200 as anonymous; there `can_login`, shown to signed-in callers only, is the proof.
        """
        if not self._has_key:
            raise Auth("BUGZILLA_API_KEY is not set: make a key in Bugzilla's preferences and set it")
        if not self._key_is_usable:
            raise Auth("BUGZILLA_API_KEY holds characters that no key has: copy it again from Bugzilla's preferences")
        try:
            return values.clean_line(str(self._get("whoami")["name"]), values.LOGIN).lower()
        except KeyError:
            raise Unavailable("Bugzilla's whoami answered without a name", reached=True) from None
        except (Rejected, NotVisible) as refusal:
            if getattr(refusal, "code", 0) not in {0, 32614}:
                raise
        return self._proven_by_can_login()

    def _proven_by_can_login(self) -> str:
        # Without a name to ask for, any will do: matching is refused to strangers altogether. Not "@": Bugzilla looks
        # for no part of a name that is shorter than three characters, and would find nobody.
        asked = {"names": self.login} if self.login else {"match": "*", "limit": 1}
        try:
            users = self._list(self._get("user", asked), "users")
        except Rejected as refusal:
            if refusal.code == NO_MATCH_FOR_STRANGERS:
                raise Auth(NOT_TAKEN) from None
            if self.login:
                raise Auth(f"Bugzilla knows no account {self.login}: check BUGZILLA_LOGIN") from None
            raise
        if not users and not self.login:
            return ""  # let in to match, although this key may see nobody (usevisibilitygroups)
        if not users or "can_login" not in users[0]:
            raise Auth(NOT_TAKEN)
        if self.login and "saved_searches" not in users[0]:  # shown to the account itself alone
            raise Auth(f"The key is not that of {self.login}: check BUGZILLA_LOGIN")
        return self.login.lower()

    def flags_by_component(self, products: Iterable[str]) -> dict[tuple[str, str], set[str]]:
        """Return, per existing (product, component), the names of its bug flags; unknown products are simply absent.

        https://bugzilla.readthedocs.io/en/latest/api/core/v1/product.html#get-product
        """
        asked = {"names": list(products), "include_fields": "name,components.name,components.flag_types"}
        found = {}
        try:
            for product in self._list(self._get("product", asked), "products"):
                for component in product["components"]:
                    flags = component.get("flag_types", {}).get("bug", [])
                    found[product["name"], component["name"]] = {flag["name"] for flag in flags}
        except (KeyError, TypeError, AttributeError):
            raise Unavailable("Bugzilla's list of products makes no sense", reached=True) from None
        return found

    # --- reading ----------------------------------------------------------------------------------------------------

    def server_time(self) -> datetime:
        """Return the time of Bugzilla's own database, aware and in UTC: the only clock a watermark may come from."""
        return self._value(lambda: values.moment(self._get("time").get("db_time"), "db_time"), "its time")

    def rows(self, query: dict, what: str) -> list[dict]:
        """Return one page of a search as raw dictionaries that have an id; `listing.py` reads a whole list.

        https://bugzilla.readthedocs.io/en/latest/api/core/v1/bug.html#search-bugs
        """
        rows = self._list(self._call(what, lambda: self._backend().bug_search(query)), "bugs")
        for row in rows:
            self._value(lambda row=row: values.number(row.get("id"), "id"), what)
        return rows

    def bugs(self, ids: Iterable[int]) -> dict[int, dict]:
        """Return raw bugs by id, at most IDS_AT_ONCE asked; those that are missing or hidden are absent.

        Raw, so that one malformed bug can be set aside alone: `values.bug` validates each.
        """
        wanted = list(ids)
        query = {"id": ",".join(map(str, wanted)), "include_fields": values.BUG_FIELDS, "limit": len(wanted)}
        rows = self._list(self._call(f"{len(wanted)} bugs", lambda: self._backend().bug_search(query)), "bugs")
        asked = set(wanted)
        return {row["id"]: row for row in rows if isinstance(row.get("id"), int) and row["id"] in asked}

    def bug(self, bug_id: int) -> dict:
        """Return one raw bug, read from Bugzilla's primary. Raises NotVisible when it is hidden or does not exist."""
        asked = {"include_fields": values.BUG_FIELDS}
        rows = self._list(self._call(f"bug {bug_id}", lambda: self._backend().bug_get(bug_id, None, asked)), "bugs")
        for row in rows:
            if row.get("id") == bug_id:
                return row
        # Not NotVisible: Bugzilla says that with a code, and a bug taken for hidden loses its words.
        raise Unavailable(f"Bugzilla's answer about bug {bug_id} does not hold it", reached=True)

    def comments(self, bug_id: int) -> list[values.Comment]:
        """Return who commented when, without the words and without private comments, oldest first.

        https://bugzilla.readthedocs.io/en/latest/api/core/v1/comment.html
        """
        asked = {"include_fields": "id,count,creator,creation_time,time,is_private"}
        answer = self._call(f"comments of bug {bug_id}", lambda: self._backend().bug_comments([bug_id], asked))

        def read():
            raw = answer["bugs"][str(bug_id)]["comments"]
            return [comment for comment in map(values.comment, raw) if comment]

        return sorted(self._value(read, f"comments of bug {bug_id}"), key=lambda comment: comment.at)

    def history(self, bug_id: int) -> list[values.FieldChange]:
        """Return the changes of a bug's fields, oldest first.

        Changes of one person in one second come folded together.
        """
        answer = self._call(f"history of bug {bug_id}", lambda: self._backend().bug_history([bug_id], {}))

        def read():
            entries = [entry for bug in answer["bugs"] if bug["id"] == bug_id for entry in bug["history"]]
            return [change for entry in entries for change in values.field_changes(entry)]

        return sorted(self._value(read, f"history of bug {bug_id}"), key=lambda change: change.at)

    # --- looking for a write of ours ----------------------------------------------------------------------------------

    def state_of(self, bug_id: int) -> values.BugState:
        """Return what a write may change of a bug, from Bugzilla's primary. Raises NotVisible."""
        asked = {"include_fields": values.STATE_FIELDS}
        rows = self._list(self._call(f"bug {bug_id}", lambda: self._backend().bug_get(bug_id, None, asked)), "bugs")
        for row in rows:
            if row.get("id") == bug_id:
                return self._value(lambda row=row: values.bug_state(row), f"bug {bug_id}")
        raise Unavailable(f"Bugzilla's answer about bug {bug_id} does not hold it", reached=True)

    def copy_shows(self, state: values.BugState) -> bool:
        """Answer whether the read replica has come as far as the primary was when this state was read.

        bugzilla.mozilla.org answers searches, comments and history from a replica that may lag: before it has come that
        far, a comment that it does not show proves nothing.
        """
        what = f"bug {state.id}"
        rows = self.rows({"id": state.id, "include_fields": "id,last_change_time", "limit": 1}, what)
        shown = [self._value(lambda row=row: values.moment(row.get("last_change_time"), "its time"), what)
                 for row in rows if row["id"] == state.id]  # fmt: skip
        return any(at >= state.changed_at for at in shown)

    def has_comment_with(self, bug_id: int, ref: str, since: datetime) -> bool:
        """Answer whether a comment since a moment, that this key may see, holds our ref. Keeps none of the words."""
        return any(_holds(text, ref) for _, text in self._comment_texts(bug_id, since))

    def bugs_filed_with(self, ref: str, product: str, component: str, since: datetime, creator: str = "") -> list[int]:
        """Return the bugs filed since a moment whose description holds our ref, the lowest number first.

        With a `creator` theirs are looked through, wherever they were moved since; else those of the component. Raises
        Unavailable when these are too many to look through.
        """
        among = {"creator": creator} if creator else {"product": product, "component": component}
        query = among | {"creation_time": _stamp(since), "include_fields": "id", "order": "bug_id", "limit": 100}
        candidates = []
        while page := self.rows(query | {"offset": len(candidates)}, "the bugs filed lately"):  # may be cut: no mark
            candidates += [row["id"] for row in page]
            if len(candidates) > MOST_CANDIDATES:
                raise Unavailable("Bugzilla has too many new bugs to find ours among them", reached=True)
        return [bug_id for bug_id in sorted(set(candidates)) if self._was_filed_with(bug_id, ref, since)]

    def _was_filed_with(self, bug_id: int, ref: str, since: datetime) -> bool:
        try:
            return any(number == 0 and _holds(text, ref) for number, text in self._comment_texts(bug_id, since))
        except NotVisible:  # it was restricted a moment ago: none that we could number
            return False

    def _comment_texts(self, bug_id: int, since: datetime) -> list[tuple[int, str]]:
        what = f"comments of bug {bug_id}"
        asked = {"include_fields": "id,count,text", "new_since": _stamp(since)}
        answer = self._call(what, lambda: self._backend().bug_comments([bug_id], asked))

        def read():
            raw = answer["bugs"][str(bug_id)]["comments"]
            return [values.comment_text(one, place) for place, one in enumerate(raw)]

        return self._value(read, what)

    # --- writing ------------------------------------------------------------------------------------------------------

    def update(self, bug_id: int, changes: dict) -> dict:
        """Change one bug in one PUT, all or nothing, and return what Bugzilla says it changed (`changes`).

        Raises Unknown when the write may or may not have been applied: read before anything else is written.
        https://bugzilla.readthedocs.io/en/latest/api/core/v1/bug.html#update-bug
        """

        rest = self._call("its version", self._backend)

        def write():
            answer = rest.bug_update(bug_id, changes)
            written = {bug["id"]: dict(bug["changes"]) for bug in answer["bugs"]}
            return written[bug_id]  # a 200 with an empty body or another bug's number is no success

        return self._call(f"the change of bug {bug_id}", write, write=True)

    def create(self, fields: dict) -> int:
        """File a bug and return its number. Raises Unknown when it may or may not have been filed.

        https://bugzilla.readthedocs.io/en/latest/api/core/v1/bug.html#create-bug
        """
        rest = self._call("its version", self._backend)
        return self._call("a new bug", lambda: values.number(rest.bug_create(fields)["id"], "id"), write=True)

    # --- the call itself ----------------------------------------------------------------------------------------------

    def _backend(self):
        if self._rest is None:
            client = bugzilla.Bugzilla(url=None, use_creds=False, force_rest=True, requests_session=self.session)
            client.connect(self.address)
            if not client.is_rest():
                raise Unavailable("python-bugzilla did not choose the REST API")
            # The backend answers with raw dictionaries; the Bug objects above it copy each one and refresh themselves.
            self._rest = client._backend
        return self._rest

    def _get(self, path: str, params: dict | None = None) -> dict:
        """Ask what python-bugzilla has no call for, through the same session and rules."""

        def ask():
            response = self.session.get(f"{self.address}/rest/{path}", params=params)
            try:
                answer = json.loads(response.content)
            except ValueError:
                if response.status_code == 200:
                    raise
                answer = None  # a page of a proxy's or of maintenance: its status says more than that it is no JSON
            if isinstance(answer, dict) and answer.get("error"):
                raise BugzillaError(str(answer.get("message", "")), code=answer.get("code"))
            if response.status_code != 200:
                raise BugzillaHTTPError("", response=response)
            return answer

        answer = self._call(path, ask)
        if not isinstance(answer, dict):
            raise Unavailable(f"Bugzilla's answer about {path} makes no sense", reached=True)
        return answer

    def _call(self, what: str, ask, write: bool = False):
        self._gate.ask()
        self.session.failure = None
        failure = None
        try:
            answer = ask()
        except SoftTimeLimitExceeded:  # the task's time is up: no failure of Bugzilla's, after which one would go on
            raise
        except Exception as error:  # python-bugzilla lets four families through, and KeyError and TypeError besides
            failure = self._translate(error, what)
        if failure is not None:  # raised here, so that no chained traceback holds an address with the key
            if write and _may_have_been_applied(failure):
                failure = Unknown(f"{failure}; whether the write was applied is not known")
            self._gate.failed(failure)
            raise failure
        self._gate.answered()
        return answer

    def _translate(self, error: Exception, what: str) -> BugzillaFailure:
        if self.session.failure is not None:
            return self.session.failure
        if isinstance(error, BugzillaFailure):
            return error
        if isinstance(error, BugzillaError):
            words = str(error.args[0] if error.args else "")
            return errors.of_code(error.code, self.session.without_key(words), what)
        if isinstance(error, BugzillaHTTPError):
            return errors.of_status(error.response.status_code if error.response is not None else 0, what)
        if isinstance(error, (json.JSONDecodeError, requests.JSONDecodeError)):
            return errors.of_text(error.doc)
        return Unavailable(f"Bugzilla's answer about {what} makes no sense ({type(error).__name__})", reached=True)

    def _list(self, answer: dict, name: str) -> list[dict]:
        rows = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Unavailable(f"Bugzilla's answer has no list of {name}: is BUGZILLA_URL a Bugzilla?", reached=True)
        return rows

    def _value(self, read, what: str):
        try:
            return read()
        except values.Malformed as problem:
            raise Unavailable(f"Bugzilla's answer about {what} makes no sense: {problem}", reached=True) from None
        except (KeyError, TypeError, AttributeError, IndexError):
            raise Unavailable(f"Bugzilla's answer about {what} makes no sense", reached=True) from None


def _may_have_been_applied(failure: BugzillaFailure) -> bool:
    """Answer whether a write that failed so may stand in Bugzilla all the same.

    Its own refusals have positive codes; with others it broke down, perhaps after the commit, over a mail it sends.
    """
    if isinstance(failure, Rejected):
        return not 0 < failure.code < 100_000
    return isinstance(failure, Unavailable) and failure.sent


def _holds(text: str, ref: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(ref)}(?!\w)", text) is not None


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

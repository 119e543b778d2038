"""Senders of mail at work while somebody kills them, restarts their database or cuts their lines; and what arrived."""

import hashlib
import random
import time
from collections import defaultdict
from pathlib import Path

from tests.instruments.mail_server import MailServer
from tests.instruments.senders import Rows, Senders, Settling
from tests.instruments.servers import wait_until

SENDERS = 4
#: Seconds that a dead sender's row waits here for the next one; the product's own are 60.
LEASE = 1.5
#: Seconds until everything is on its way, at most.
LONGEST = 300
TABLE = "outbox_mail"


class Siege:
    """Senders of one kind on one database. Use `with`."""

    def __init__(self, database: str, server: MailServer, folder: Path, sender="deliver_mail", email_url: str = ""):
        self.server, self.sender, self.database = server, sender, database
        self.rows = Rows(database, TABLE)
        environment = {"DATABASE_URL": database, "REDIS_URL": "", "EMAIL_URL": email_url or server.url}
        self.senders = Senders(environment | {"LOG_LEVEL": "ERROR"}, folder / "senders.log", LEASE)
        self.kills = self.between = 0

    def __enter__(self):
        self.senders.__enter__()
        return self

    def __exit__(self, *problem):
        self.senders.__exit__(*problem)

    def post(self, mails: int) -> None:
        """Write so many mails."""
        self.senders.run("post_mails", count=mails, about="siege")

    def copies(self) -> dict[str, list[bytes]]:
        """Return the texts that the server took, for each Message-ID."""
        found = defaultdict(list)
        for taken in self.server.taken():
            found[taken.message_id].append(taken.message)
        return found

    def start(self) -> None:
        """Start the senders."""
        self.senders.start(self.sender, SENDERS)

    # --- what is done to them -----------------------------------------------------------------------------------------

    def kill_at_random(self, kills: int, dice: random.Random, every: int = 0) -> None:
        """Kill so many senders, spread over the mails that are there; every so many of them between 250 and commit."""
        mails = sum(self.rows.states().values())
        for number in range(kills):
            self.wait_for_mails(mails * number // kills)
            if every and number % every == 0:
                self._kill_between_250_and_commit()
            else:
                time.sleep(dice.uniform(0, 0.02))
                self._replace(dice.choice(self.senders.running))

    def wait_for_mails(self, count: int, seconds: float = 2) -> None:
        """Wait until the server took so many; not for long, since all of them may wait for the leases of the dead."""
        until = time.monotonic() + seconds
        while len(self.server.taken()) < count and time.monotonic() < until:
            time.sleep(0.002)

    def _kill_between_250_and_commit(self) -> None:
        with Settling(self.database, TABLE) as settling:
            sender, _, row = settling.caught()
            fence = self._fence_of_taken(row)
            self._replace(sender)
        self._was_not_written_down(row, fence)

    def end_session_between_250_and_commit(self) -> None:
        """End a sender's session in the database at that very point, and leave the sender alive."""
        with Settling(self.database, TABLE) as settling:
            _, backend, row = settling.caught()
            fence = self._fence_of_taken(row)
            self.rows.ask("SELECT pg_terminate_backend(%s)", backend)
        self._was_not_written_down(row, fence)

    def _fence_of_taken(self, row: int) -> int:
        ((message_id, fence),) = self.rows.ask("SELECT message_id, fence FROM {table} WHERE id = %s", row)
        assert message_id in self.copies(), "a sender writes down a 250 that the server never gave"
        return fence

    def _was_not_written_down(self, row: int, fence: int) -> None:
        ((fence_now, accepted_at),) = self.rows.ask("SELECT fence, accepted_at FROM {table} WHERE id = %s", row)
        assert accepted_at is None or fence_now > fence, "a sender wrote down what it was stopped from writing down"
        self.between += 1

    def _replace(self, sender: int) -> None:
        self.senders.kill(sender)
        self.senders.start(self.sender)
        self.kills += 1

    def make_all_due(self) -> None:
        """Let every mail be tried again at once that waits for its next try."""
        self.rows.do("UPDATE {table} SET next_try_at = created_at WHERE state IN ('retry', 'unknown')")

    # --- how it ends --------------------------------------------------------------------------------------------------

    def finish(self) -> int:
        """Wait until nothing goes any more; a person tries again what was parked. Returns how many that were."""
        tried_again = 0
        while True:
            wait_until(self._all_done_or_later, "every mail on its way", LONGEST, every=0.1)
            if self.rows.under_way():
                self.make_all_due()
                continue
            parked = self.senders.run("try_parked_again", kind="mail")
            if not parked:
                return tried_again
            tried_again += parked

    def _all_done_or_later(self) -> bool:
        """Answer whether nothing can go now: it is done, or its next try is still to come."""
        now = "clock_timestamp() + make_interval(secs => COALESCE((SELECT seconds FROM ciduty_clock_offset), 0))"
        could_go = f"state = 'sending' OR hook_owed OR (state IN ('due', 'retry', 'unknown') AND next_try_at <= {now})"
        return not self.rows.ask(f"SELECT count(*) FROM {{table}} WHERE {could_go}")[0][0]

    def verdict(self) -> "Verdict":
        """Compare what was to be sent with what arrived."""
        rows = self.rows.ask("SELECT message_id, sha256 FROM {table}")
        return Verdict(dict(rows), self.copies(), self.rows.states())


class Verdict:
    """What became of the mails. `lost` and `strange` (Message-IDs) are empty when all went well."""

    def __init__(self, rows: dict[str, str], copies: dict[str, list[bytes]], states: dict[str, int]):
        self.states = states
        self.lost = [message_id for message_id in rows if message_id not in copies]
        self.strange = [
            message_id
            for message_id, texts in copies.items()
            if {hashlib.sha256(text).hexdigest() for text in texts} != {rows.get(message_id)}
        ]
        self.duplicates = sum(len(texts) - 1 for texts in copies.values())

"""No mail is lost, whoever is killed when; what arrives twice is the same mail. Real senders, PostgreSQL and SMTP."""

import random
import time

import pytest

from ciduty.outbox import rules
from tests.faults import seeds, sized
from tests.instruments.mail_server import Answer, MailServer, Script
from tests.instruments.proxy import NONE, Proxy, Trouble
from tests.instruments.servers import wait_until
from tests.instruments.siege import LONGEST, Siege

pytestmark = pytest.mark.fault

MAILS = sized(quick=120, full=3000)
KILLS = sized(quick=40, full=1050)
#: Every so many kills, one is made exactly between the server's 250 and the commit.
EVERY = 8
#: Mails for the faults that strike now and then.
SOME_MAILS = sized(quick=60, full=400)
ASKED = "0 lost; copies the same"
TIMES = sized(quick=5, full=25)


@pytest.fixture
def server():
    """A mail server that thinks for 8 ms before it takes a mail, and for up to 20 ms before it says so."""
    with MailServer(Script(delay=(0, 0.02))) as server:
        server.script.on("RCPT", Answer(250, "fine", late=0.008), always=True)
        yield server


def dice_of(seed: int) -> random.Random:
    return random.Random(f"faults of mail {seed}")


def all_arrived(verdict, mails: int) -> None:
    assert verdict.lost == []
    assert verdict.strange == []
    assert verdict.states == {"accepted": mails}


def said(verdict) -> str:
    return f"{len(verdict.lost)} lost; {verdict.duplicates} copies, {len(verdict.strange)} of them unlike the first"


@pytest.mark.parametrize("seed", seeds())
def test_no_mail_is_lost_whoever_is_killed_and_a_second_copy_is_the_same_mail(database, server, tmp_path, figure, seed):
    with Siege(database, server, tmp_path) as siege:
        siege.post(MAILS)
        siege.start()
        siege.kill_at_random(KILLS, dice_of(seed), EVERY)
        parked = siege.finish()
        verdict = siege.verdict()
    figure(
        f"{siege.kills} senders killed while {MAILS} mails go, {siege.between} of them between 250 and commit",
        ASKED,
        f"{said(verdict)}; {parked} parked after {rules.MOST_DEATHS} deaths and tried again by hand (seed {seed})",
    )
    all_arrived(verdict, MAILS)
    assert (siege.kills, siege.between) == (KILLS, len(range(0, KILLS, EVERY)))
    assert siege.between <= verdict.duplicates <= KILLS  # each that was held there came again, and no kill made two


def test_a_sender_that_marks_before_it_sends_loses_mail_in_the_same_harness(database, server, tmp_path, figure):
    mails, kills = sized(quick=(60, 20), full=(MAILS // 3, KILLS // 3))
    with Siege(database, server, tmp_path, "mark_before_sending") as siege:
        siege.post(mails)
        siege.start()
        siege.kill_at_random(kills, dice_of(0))
        wait_until(lambda: set(siege.rows.states()) == {"accepted"}, "every mail marked", LONGEST)
        time.sleep(0.5)  # the last ones are still on their way
        siege.senders.kill_all()
        verdict = siege.verdict()
    figure(
        f"{siege.kills} senders killed that mark before they send, while {mails} mails go",
        "loses mail",
        said(verdict),
    )
    assert verdict.lost
    assert verdict.duplicates == 0


def test_a_session_ended_between_250_and_commit_is_like_a_kill(database, server, tmp_path, figure):
    with Siege(database, server, tmp_path) as siege:
        siege.post(SOME_MAILS)
        siege.start()
        for number in range(TIMES):
            siege.wait_for_mails(SOME_MAILS * number // TIMES)
            siege.end_session_between_250_and_commit()
        siege.finish()
        siege.senders.kill_all()  # which complains of one that had ended by itself
        verdict = siege.verdict()
    figure(
        f"{siege.between} database sessions ended between 250 and commit, {SOME_MAILS} mails",
        ASKED,
        said(verdict),
    )
    all_arrived(verdict, SOME_MAILS)
    assert verdict.duplicates >= TIMES


def test_nothing_is_lost_when_postgresql_restarts_under_the_senders(postgres, database, server, tmp_path, figure):
    restarts = max(2, TIMES // 5)
    with Siege(database, server, tmp_path) as siege:
        siege.post(SOME_MAILS)
        siege.start()
        for number in range(restarts):
            siege.wait_for_mails(SOME_MAILS * (number + 1) // (restarts + 2), 10)
            postgres.restart()
        siege.finish()
        siege.senders.kill_all()
        verdict = siege.verdict()
    figure(
        f"PostgreSQL restarted {restarts} times (immediate) while {SOME_MAILS} mails go",
        ASKED,
        said(verdict),
    )
    all_arrived(verdict, SOME_MAILS)


def test_nothing_is_lost_over_a_line_that_is_cut_delayed_and_drips(database, server, tmp_path, figure):
    dice = dice_of(7)
    with Proxy(server.port) as proxy, Siege(database, server, tmp_path, email_url=f"smtp://{proxy.host}") as siege:
        siege.post(SOME_MAILS)
        siege.start()
        for _ in range(8 * TIMES):
            proxy.asking, proxy.answering = (dice.choice([NONE, *troubles(dice)]) for _ in range(2))
            time.sleep(0.05)
            if dice.random() < 0.3:
                proxy.cut()
            siege.make_all_due()
        proxy.behave()
        siege.finish()
        tries = siege.rows.ask("SELECT sum(attempts) FROM {table}")[0][0]
        verdict = siege.verdict()
    figure(
        f"a line to the mail server that is cut, delayed and drips, {SOME_MAILS} mails",
        ASKED,
        f"{said(verdict)}; {tries} tries",
    )
    all_arrived(verdict, SOME_MAILS)
    assert tries > SOME_MAILS + TIMES
    assert verdict.duplicates > 0


def troubles(dice: random.Random) -> list[Trouble]:
    return [
        Trouble(delay=dice.uniform(0, 0.05)),
        Trouble(bytes_per_second=3000),
        Trouble(cut_after=dice.randrange(2500)),
        Trouble(cut_after=dice.randrange(400)),
    ]


def test_one_of_two_recipients_refused_fails_alone(database, server, tmp_path, figure):
    server.script.on("RCPT", 550, to="list1@example.com", always=True)
    with Siege(database, server, tmp_path) as siege:
        siege.post(2)
        siege.start()
        wait_until(lambda: not siege.rows.under_way(), "both mails", 20)
        rows = siege.rows.ask("SELECT recipient, state, attempts, last_code FROM {table} ORDER BY recipient")
    took = [taken.recipients for taken in server.taken()]
    figure(
        "one of two recipients refused with 550",
        "one accepted, one failed",
        "; ".join(f"{recipient} {state} ({code}), tried {tries} time" for recipient, state, tries, code in rows),
    )
    assert rows == [("list0@example.com", "accepted", 1, 250), ("list1@example.com", "failed", 1, 550)]
    assert took == [("list0@example.com",)]

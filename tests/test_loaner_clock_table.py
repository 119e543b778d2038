"""The clock of a request equals a table worked out by hand with a calendar on the wall, and the page explains it.

Nothing in the table was computed by the code. Times are the desk's wall clock, or UTC where a Z stands behind them.
Romania, 2026: summer time begins on Sunday 29 March, when 03:00 becomes 04:00, and ends on Sunday 25 October, when
04:00 becomes 03:00. Free: 1, 2, 6, 7 January, 10 to 13 April (Orthodox Easter), 1 May, 1 June, 30 November, 1 and 25
December.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from ciduty import clock, working_time
from ciduty.bugzilla.models import BugEvent
from ciduty.people.roles import Role
from ciduty.templatetags.ciduty import hours
from ciduty.templatetags.ciduty import moment as moment_on_page
from ciduty.working_time import Calendar
from loaners import rules, sync
from loaners.models import AnsweredHere, LoanerRequest
from loaners.rules import Standing
from tests.cast import BugFactory, BugTextFactory

ALL_WEEK = frozenset(range(7))


def desk(zone="Europe/Bucharest", open_from="09:00-17:00", country="RO", weekdays=None) -> Calendar:
    calendar = Calendar.parse(zone, open_from, country)
    return Calendar(calendar.zone, calendar.opens, calendar.closes, calendar.country, weekdays or calendar.weekdays)


@dataclass
class Happened:
    """What somebody did: "comment", "assigned", "needinfo set" ..., by "ciduty", "requester", "bot" or "other"."""

    kind: str
    by_kind: str
    when: str
    asks_requester: bool = False
    here: bool = False  # through ciduty itself, not in Bugzilla


@dataclass
class Row:
    """One line of the table. `counted` is h:mm or h:mm:ss; `answer_by` is "" where no clock runs any more."""

    asked: str
    answer_by: str
    seen: str
    counted: str
    standing: Standing
    happened: list = field(default_factory=list)
    desk: Calendar = desk()
    closed: str = ""


def asks(when, by="other"):
    return Happened("needinfo set", by, when, asks_requester=True)


def cleared(when, by="requester"):
    return Happened("needinfo cleared", by, when, asks_requester=True)


def comment(by, when, **more):
    return Happened("comment", by, when, **more)


WAITING, SOON, OVERDUE = Standing.WAITING, Standing.DUE_SOON, Standing.OVERDUE
PAUSED, ANSWERED, CLOSED = Standing.PAUSED, Standing.ANSWERED, Standing.CLOSED

NIGHT = desk(open_from="22:00-06:00", country="")
EVERY_NIGHT = desk(open_from="22:00-06:00", country="", weekdays=ALL_WEEK)
EVERY_MORNING = desk(open_from="00:00-08:00", country="", weekdays=ALL_WEEK)
NEW_YORK = desk("America/New_York", country="US")

#: 3 March 2026 is a Tuesday, 6 March a Friday, 2 November a Monday.
TABLE = {
    # --- a plain day, and the edges of the deadline ---
    "Tuesday at ten, seen at half past noon":
        Row("2026-03-03 10:00", "2026-03-04 10:00", "2026-03-03 12:30", "2:30", WAITING),
    "seen with just two hours left":
        Row("2026-03-03 10:00", "2026-03-04 10:00", "2026-03-03 16:00", "6:00", WAITING),
    "seen with a second less than two hours left":
        Row("2026-03-03 10:00", "2026-03-04 10:00", "2026-03-03 16:00:01", "6:00:01", SOON),
    "seen in the evening between":
        Row("2026-03-03 10:00", "2026-03-04 10:00", "2026-03-03 21:00", "7:00", SOON),
    "seen at the deadline itself":
        Row("2026-03-03 10:00", "2026-03-04 10:00", "2026-03-04 10:00", "8:00", SOON),
    "seen a second after the deadline":
        Row("2026-03-03 10:00", "2026-03-04 10:00", "2026-03-04 10:00:01", "8:00:01", OVERDUE),
    "seen a week after":  # Tuesday 7, Wednesday to Friday 24, Monday 8, Tuesday 1
        Row("2026-03-03 10:00", "2026-03-04 10:00", "2026-03-10 10:00", "40:00", OVERDUE),
    "seen in the moment of asking":
        Row("2026-03-03 10:00", "2026-03-04 10:00", "2026-03-03 10:00", "0:00", WAITING),
    # --- the edges of the day ---
    "before the desk opens":
        Row("2026-03-03 06:30", "2026-03-03 17:00", "2026-03-03 08:59", "0:00", WAITING),
    "as it opens":
        Row("2026-03-03 09:00", "2026-03-03 17:00", "2026-03-03 15:30", "6:30", SOON),
    "a second after it opened":
        Row("2026-03-03 09:00:01", "2026-03-04 09:00:01", "2026-03-03 17:00", "7:59:59", SOON),
    "a minute before it closes":
        Row("2026-03-03 16:59", "2026-03-04 16:59", "2026-03-03 23:00", "0:01", WAITING),
    "as it closes":
        Row("2026-03-03 17:00", "2026-03-04 17:00", "2026-03-04 09:00", "0:00", WAITING),
    "at 23:59":
        Row("2026-03-03 23:59", "2026-03-04 17:00", "2026-03-04 13:00", "4:00", WAITING),
    "at midnight":
        Row("2026-03-04 00:00", "2026-03-04 17:00", "2026-03-04 17:00:01", "8:00", OVERDUE),
    # --- over the weekend ---
    "Friday at four":
        Row("2026-03-06 16:00", "2026-03-09 16:00", "2026-03-07 10:00", "1:00", WAITING),
    "Friday, a second before it closes":
        Row("2026-03-06 16:59:59", "2026-03-09 16:59:59", "2026-03-09 10:00", "1:00:01", WAITING),
    "Friday evening":
        Row("2026-03-06 18:30", "2026-03-09 17:00", "2026-03-09 16:00", "7:00", SOON),
    "Friday at 23:59":
        Row("2026-03-06 23:59", "2026-03-09 17:00", "2026-03-08 12:00", "0:00", WAITING),
    "Saturday at noon":
        Row("2026-03-07 12:00", "2026-03-09 17:00", "2026-03-09 10:00", "1:00", WAITING),
    "Sunday, a second before midnight":
        Row("2026-03-08 23:59:59", "2026-03-09 17:00", "2026-03-10 09:00", "8:00", OVERDUE),
    # --- holidays ---
    "before Orthodox Good Friday":  # Friday and Monday are free
        Row("2026-04-09 16:00", "2026-04-14 16:00", "2026-04-13 12:00", "1:00", WAITING),
    "on Easter Monday":
        Row("2026-04-13 11:00", "2026-04-14 17:00", "2026-04-14 09:30", "0:30", WAITING),
    "Western Good Friday is worked":
        Row("2026-04-03 10:00", "2026-04-06 10:00", "2026-04-03 17:00", "7:00", SOON),
    "Labour Day on a Friday":  # Thursday 5 hours, Monday 3
        Row("2026-04-30 12:00", "2026-05-04 12:00", "2026-05-04 11:59", "7:59", SOON),
    "over Whit Monday":
        Row("2026-05-29 16:30", "2026-06-02 16:30", "2026-06-02 09:00", "0:30", WAITING),
    "a holiday on a Saturday moves nothing":
        Row("2026-08-14 16:00", "2026-08-17 16:00", "2026-08-17 16:00:01", "8:00:01", OVERDUE),
    "over Saint Andrew's and the National Day":
        Row("2026-11-27 16:00", "2026-12-02 16:00", "2026-12-01 20:00", "1:00", WAITING),
    "on the National Day":
        Row("2026-12-01 11:00", "2026-12-02 17:00", "2026-12-02 16:30", "7:30", SOON),
    "over Christmas":  # Thursday 2 hours, Monday 6
        Row("2026-12-24 15:00", "2026-12-28 15:00", "2026-12-27 12:00", "2:00", WAITING),
    "over the new year":
        Row("2026-12-31 16:00", "2027-01-04 16:00", "2027-01-04 10:00", "2:00", WAITING),
    "over Epiphany and Saint John's":  # Wednesday and Thursday
        Row("2027-01-05 16:00", "2027-01-08 16:00", "2027-01-07 10:00", "1:00", WAITING),
    "a desk without holidays works on Saint Andrew's":
        Row("2026-11-27 16:00", "2026-11-30 16:00", "2026-11-30 12:00", "4:00", WAITING, desk=desk(country="")),
    "another country's holidays: Thanksgiving":
        Row("2026-11-25 16:00", "2026-11-27 16:00", "2026-11-26 12:00", "1:00", WAITING, desk=desk(country="US")),
    # --- both changes of summer time ---
    "over the weekend on which summer time begins":
        Row("2026-03-27 16:00", "2026-03-30 16:00", "2026-03-30 10:00", "2:00", WAITING),
    "the same in UTC: from 14:00 to 13:00":
        Row("2026-03-27 14:00Z", "2026-03-30 13:00Z", "2026-03-30 13:00Z", "8:00", SOON),
    "over the weekend on which summer time ends":
        Row("2026-10-23 16:00", "2026-10-26 16:00", "2026-10-26 09:00", "1:00", WAITING),
    "the same in UTC: from 13:00 to 14:00":
        Row("2026-10-23 13:00Z", "2026-10-26 14:00Z", "2026-10-26 14:00:01Z", "8:00:01", OVERDUE),
    "the short night in March has seven hours":  # the eighth is the first of the next night
        Row("2026-03-28 22:00", "2026-03-29 23:00", "2026-03-29 06:00", "7:00", SOON, desk=EVERY_NIGHT),
    "the long night in October has nine hours":  # 22:00 is 19:00 UTC, eight hours later it is 05:00 again at home
        Row("2026-10-24 22:00", "2026-10-25 03:00Z", "2026-10-25 06:00", "9:00", OVERDUE, desk=EVERY_NIGHT),
    "the short Sunday morning":  # 00:00 is 22:00 UTC, 05:00 is 02:00 UTC
        Row("2026-03-29 00:00", "2026-03-30 01:00", "2026-03-29 05:00", "4:00", WAITING, desk=EVERY_MORNING),
    "the long Sunday morning, in the hour that comes twice":  # 00:00 is 21:00 UTC, the second 03:30 is 01:30 UTC
        Row("2026-10-25 00:00", "2026-10-25 05:00Z", "2026-10-25 01:30Z", "4:30", WAITING, desk=EVERY_MORNING),
    "New York changes three weeks earlier":  # 16:00 EST is 21:00 UTC, 16:00 EDT is 20:00 UTC
        Row("2026-03-06 21:00Z", "2026-03-09 20:00Z", "2026-03-09 14:00Z", "2:00", WAITING, desk=NEW_YORK),
    "a fixed offset knows no summer time":
        Row("2026-03-27 14:00Z", "2026-03-30 14:00Z", "2026-03-30 13:00Z", "7:00", SOON, desk=desk("UTC+2")),
    # --- other settings: the same request, asked at 08:00 UTC ---
    "the zone set to UTC":
        Row("2026-03-03 08:00Z", "2026-03-03 17:00", "2026-03-03 12:00", "3:00", WAITING, desk=desk("UTC")),
    "the zone set to Los Angeles":  # midnight there; it opens at 17:00 UTC
        Row("2026-03-03 08:00Z", "2026-03-04 01:00Z", "2026-03-03 20:00Z", "3:00", WAITING,
            desk=desk("America/Los_Angeles")),
    "the zone set to Kolkata":  # 13:30 there; 10:00 to 18:00 is 04:30 to 12:30 UTC
        Row("2026-03-03 08:00Z", "2026-03-04 08:00Z", "2026-03-03 12:30Z", "4:30", WAITING,
            desk=desk("Asia/Kolkata", "10:00-18:00", "")),
    "a desk of four hours promises four":
        Row("2026-03-03 12:30", "2026-03-04 12:30", "2026-03-04 10:00", "1:30", WAITING,
            desk=desk(open_from="09:30-13:30")),
    "a night desk: Friday's night ends on Saturday, and goes on on Monday":
        Row("2026-03-07 03:00", "2026-03-10 03:00", "2026-03-08 12:00", "3:00", WAITING, desk=NIGHT),
    # --- needinfo ---
    "needinfo over a weekend, answered on Monday at eleven":  # Friday 5, then 3 of Monday
        Row("2026-03-06 10:00", "2026-03-09 14:00", "2026-03-09 12:30", "6:30", SOON,
            [asks("2026-03-06 15:00"), cleared("2026-03-09 11:00")]),
    "the same, seen on Sunday":
        Row("2026-03-06 10:00", "2026-03-09 10:00", "2026-03-08 12:00", "5:00", PAUSED, [asks("2026-03-06 15:00")]),
    "the same, seen on Monday at four, still waiting":
        Row("2026-03-06 10:00", "2026-03-09 10:00", "2026-03-09 16:00", "5:00", PAUSED, [asks("2026-03-06 15:00")]),
    "needinfo in the night costs nothing":
        Row("2026-03-03 10:00", "2026-03-04 10:00", "2026-03-04 09:30", "7:30", SOON,
            [asks("2026-03-03 20:00"), cleared("2026-03-04 07:00")]),
    "needinfo from before the desk opens until eleven":  # Tuesday 7, and one from eleven on
        Row("2026-03-03 10:00", "2026-03-04 12:00", "2026-03-04 11:30", "7:30", SOON,
            [asks("2026-03-04 08:00"), cleared("2026-03-04 11:00")]),
    "two needinfos at once are one pause until the last is answered":  # 1, then 3 of Monday and 4 of Tuesday
        Row("2026-11-02 09:00", "2026-11-03 13:00", "2026-11-02 15:00", "2:00", WAITING,
            [asks("2026-11-02 10:00"), asks("2026-11-02 11:00"),
             cleared("2026-11-02 12:00"), cleared("2026-11-02 14:00")]),
    "of two needinfos one is answered":
        Row("2026-11-02 09:00", "2026-11-02 17:00", "2026-11-02 15:00", "1:00", PAUSED,
            [asks("2026-11-02 10:00"), asks("2026-11-02 11:00"), cleared("2026-11-02 12:00")]),
    "two pauses, one after the other":  # an hour and half an hour
        Row("2026-11-02 09:00", "2026-11-03 10:30", "2026-11-02 17:00", "6:30", SOON,
            [asks("2026-11-02 10:00"), cleared("2026-11-02 11:00"),
             asks("2026-11-02 13:00"), cleared("2026-11-02 13:30")]),
    "the bot's needinfo, set from here without an answer, pauses too":
        Row("2026-11-02 09:00", "2026-11-02 17:00", "2026-11-02 12:00", "2:00", PAUSED,
            [asks("2026-11-02 11:00", "bot")]),
    "a needinfo that somebody else cleared runs on as well":
        Row("2026-11-02 09:00", "2026-11-03 10:00", "2026-11-02 12:00", "2:00", WAITING,
            [asks("2026-11-02 10:00"), cleared("2026-11-02 11:00", "other")]),
    "a needinfo of somebody else pauses nothing":
        Row("2026-11-02 09:00", "2026-11-02 17:00", "2026-11-02 12:00", "3:00", WAITING,
            [Happened("needinfo set", "other", "2026-11-02 10:00")]),
    "a needinfo that nobody saw being set":
        Row("2026-11-02 09:00", "2026-11-02 17:00", "2026-11-02 16:00", "7:00", SOON, [cleared("2026-11-02 10:00")]),
    "a needinfo set and answered in the same second":
        Row("2026-11-02 09:00", "2026-11-02 17:00", "2026-11-02 12:00", "3:00", WAITING,
            [asks("2026-11-02 10:00"), cleared("2026-11-02 10:00")]),
    "a needinfo of one second costs a second":
        Row("2026-11-02 09:00", "2026-11-03 09:00:01", "2026-11-02 17:00", "7:59:59", SOON,
            [asks("2026-11-02 10:00"), cleared("2026-11-02 10:00:01")]),
    "asked back at the deadline itself: paused":
        Row("2026-11-02 09:00", "2026-11-02 17:00", "2026-11-03 12:00", "8:00", PAUSED, [asks("2026-11-02 17:00")]),
    "asked back when it was overdue: overdue it stays":
        Row("2026-11-02 09:00", "2026-11-02 17:00", "2026-11-03 12:00", "9:00", OVERDUE, [asks("2026-11-03 10:00")]),
    "needinfo over two holidays":  # half an hour of Friday, 7 hours of Wednesday, half an hour of Thursday
        Row("2026-11-27 16:00", "2026-12-03 09:30", "2026-12-02 12:00", "2:30", WAITING,
            [asks("2026-11-27 16:30"), cleared("2026-12-02 10:00")]),
    "needinfo over the beginning of summer time":
        Row("2026-03-27 15:00", "2026-03-30 16:00", "2026-03-30 15:00", "7:00", SOON,
            [asks("2026-03-27 16:00"), cleared("2026-03-30 09:00")]),
    "needinfo over the end of summer time":
        Row("2026-10-23 15:00", "2026-10-27 17:00", "2026-10-27 16:00", "7:00", SOON,
            [asks("2026-10-23 16:00"), cleared("2026-10-27 10:00")]),
    "needinfo in the short night":  # 22:00 to 02:00 is 4, 04:00 to 06:00 is 2, and 2 of the next night
        Row("2026-03-28 22:00", "2026-03-30 00:00", "2026-03-29 06:00", "6:00", WAITING,
            [asks("2026-03-29 02:00"), cleared("2026-03-29 04:00")], desk=EVERY_NIGHT),
    # --- answers ---
    "answered by duty with a comment in Bugzilla":
        Row("2026-11-02 09:00", "", "2026-11-03 12:00", "2:30", ANSWERED, [comment("ciduty", "2026-11-02 11:30")]),
    "answered by duty from here":
        Row("2026-11-02 09:00", "", "2026-11-03 12:00", "2:30", ANSWERED,
            [comment("ciduty", "2026-11-02 11:30", here=True)]),
    "answered by taking the bug":
        Row("2026-11-02 09:00", "", "2026-11-03 12:00", "4:00", ANSWERED,
            [Happened("assigned", "ciduty", "2026-11-02 13:00")]),
    "answered with a question back":
        Row("2026-11-02 09:00", "", "2026-11-03 12:00", "1:15", ANSWERED, [asks("2026-11-02 10:15", "ciduty")]),
    "a comment by the bot is no answer":
        Row("2026-11-02 09:00", "2026-11-02 17:00", "2026-11-02 12:00", "3:00", WAITING,
            [comment("bot", "2026-11-02 10:00")]),
    "the bot takes the bug: no answer":
        Row("2026-11-02 09:00", "2026-11-02 17:00", "2026-11-02 12:00", "3:00", WAITING,
            [Happened("assigned", "bot", "2026-11-02 10:00")]),
    "a comment by the requester is no answer":
        Row("2026-11-02 09:00", "2026-11-02 17:00", "2026-11-02 12:00", "3:00", WAITING,
            [comment("requester", "2026-11-02 10:00")]),
    "a comment by somebody else is no answer":
        Row("2026-11-02 09:00", "2026-11-02 17:00", "2026-11-03 09:30", "8:30", OVERDUE,
            [comment("other", "2026-11-02 10:00")]),
    "a comment of the bot, and then one of duty":
        Row("2026-11-02 09:00", "", "2026-11-02 17:00", "3:00", ANSWERED,
            [comment("bot", "2026-11-02 09:01"), comment("ciduty", "2026-11-02 12:00")]),
    "answered on Saturday":
        Row("2026-03-06 16:00", "", "2026-03-09 12:00", "1:00", ANSWERED, [comment("ciduty", "2026-03-07 11:00")]),
    "answered too late":  # Monday 8, Tuesday 3
        Row("2026-11-02 09:00", "", "2026-11-04 12:00", "11:00", ANSWERED, [comment("ciduty", "2026-11-03 12:00")]),
    "answered after a needinfo over the weekend":  # Friday 5, Monday 2
        Row("2026-03-06 10:00", "", "2026-03-09 16:00", "7:00", ANSWERED,
            [asks("2026-03-06 15:00"), cleared("2026-03-09 11:00"), comment("ciduty", "2026-03-09 13:00")]),
    "answered while a needinfo waits":
        Row("2026-03-06 10:00", "", "2026-03-09 16:00", "5:00", ANSWERED,
            [asks("2026-03-06 15:00"), comment("ciduty", "2026-03-09 12:00")]),
    "answered before somebody else asks back":
        Row("2026-11-02 09:00", "", "2026-11-02 16:00", "1:00", ANSWERED,
            [comment("ciduty", "2026-11-02 10:00"), asks("2026-11-02 11:00")]),
    "of two answers the first counts":
        Row("2026-11-02 09:00", "", "2026-11-02 16:00", "0:45", ANSWERED,
            [comment("ciduty", "2026-11-02 10:30"), Happened("assigned", "ciduty", "2026-11-02 09:45")]),
    # --- closed, and come from elsewhere ---
    "closed without an answer":
        Row("2026-11-02 09:00", "", "2026-11-03 12:00", "3:00", CLOSED, closed="2026-11-02 12:00"),
    "closed and answered is answered":
        Row("2026-11-02 09:00", "", "2026-11-03 12:00", "2:00", ANSWERED, [comment("ciduty", "2026-11-02 11:00")],
            closed="2026-11-02 12:00"),
    "moved here from another component: its day begins then":
        Row("2026-11-02 09:00", "2026-11-03 13:00", "2026-11-03 09:00", "4:00", WAITING,
            [Happened("moved here", "other", "2026-11-02 13:00")]),
    "answered before it was moved here: no time was lost":
        Row("2026-11-02 09:00", "", "2026-11-03 09:00", "0:00", ANSWERED,
            [comment("ciduty", "2026-11-02 10:00"), Happened("moved here", "other", "2026-11-02 13:00")]),
}  # fmt: skip

LOGINS = {"ciduty": "duty@example.com", "requester": "developer@example.com", "bot": "bot@example.com",
          "other": "sheriff@example.com"}  # fmt: skip


def moment(written: str, calendar: Calendar) -> datetime:
    """Return what stands in the table as a moment in UTC."""
    if written.endswith("Z"):
        return datetime.fromisoformat(written.removesuffix("Z")).replace(tzinfo=UTC)
    return datetime.fromisoformat(written).replace(tzinfo=calendar.tzinfo).astimezone(UTC)


def length(written: str) -> timedelta:
    parts = [int(part) for part in written.split(":")]
    return timedelta(hours=parts[0], minutes=parts[1], seconds=parts[2] if len(parts) > 2 else 0)


@dataclass
class At:
    """A line of the happenings, as the rules want it."""

    kind: str
    at: datetime
    by_kind: str
    asks_requester: bool


def events_of(row):
    return [At(one.kind, moment(one.when, row.desk), one.by_kind, one.asks_requester) for one in row.happened]


def test_the_table_has_at_least_sixty_rows_and_no_two_are_the_same():
    assert len(TABLE) >= 60
    assert len({repr(row) for row in TABLE.values()}) == len(TABLE)
    assert {row.standing for row in TABLE.values()} == set(Standing)


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_the_rules_count_what_the_table_says(row):
    seen, events = moment(row.seen, row.desk), events_of(row)
    opened = rules.asked_at(moment(row.asked, row.desk), events)
    answer = rules.first_answer(events)
    ended = answer.at if answer else moment(row.closed, row.desk) if row.closed else seen
    pauses = [pause for pause in rules.pauses(events, until=seen) if pause.start < ended]
    assert working_time.working_time(row.desk, opened, ended, pauses) == length(row.counted)
    if row.answer_by:
        waits = rules.paused_since(events)
        so_far = rules.pauses(events, until=waits or seen)
        assert rules.answer_by(row.desk, opened, so_far) == moment(row.answer_by, row.desk)


@pytest.fixture
def request_of(people, settings, monkeypatch):
    """Put a row of the table into the mirror, let the job follow it, and stop the clock where the row is seen."""

    def put(row):
        settings.CIDUTY_CALENDAR = row.desk
        seen = moment(row.seen, row.desk)
        closed = {"is_open": False, "changed_at": moment(row.closed, row.desk)} if row.closed else {}
        bug = BugFactory(stamp=1, created_at=moment(row.asked, row.desk), **closed)
        BugTextFactory(bug=bug)
        for number, (one, event) in enumerate(zip(row.happened, events_of(row), strict=True)):
            if one.here:
                sync.look_at(bug.pk, seen)
                AnsweredHere.objects.create(
                    request_id=bug.pk, at=event.at, by=people[Role.DUTY], kind=one.kind, update_id=number
                )
            else:
                asked_of = LOGINS["requester"] if one.asks_requester else ""
                BugEvent.objects.create(
                    bug=bug, kind=one.kind, at=event.at, by=LOGINS[one.by_kind], by_kind=one.by_kind,
                    asks_requester=one.asks_requester, needinfo_of=asked_of,
                )  # fmt: skip
        sync.look_at(bug.pk, seen)
        monkeypatch.setattr(clock, "now", lambda: seen)
        return LoanerRequest.objects.get(pk=bug.pk)

    return put


@pytest.mark.django_db
@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_the_request_stands_as_the_table_says_and_its_page_adds_up_to_the_same(row, request_of, clients):
    request, seen = request_of(row), moment(row.seen, row.desk)
    assert request.standing(seen) == row.standing
    assert request.answer_by == (moment(row.answer_by, row.desk) if row.answer_by else None)

    page = clients[Role.DUTY].get(f"/loaners/{request.pk}/").content.decode()
    assert f">{row.standing.label}</span>" in page
    assert f'The clock <span class="count">{hours(length(row.counted))} of ' in page
    told = counted_intervals(page)
    if length(row.counted):
        assert told[-1] == int(length(row.counted).total_seconds()) // 60
        if in_whole_minutes(row):  # the page writes minutes
            assert sum(told[:-1]) == told[-1], "the intervals add up to the whole"
    else:
        assert told == [] and "No working time was counted" in page
    if request.paused_since:
        assert f"paused since {moment_on_page(request.paused_since)}" in page
    elif row.answer_by:
        assert f"<dt>Answer by</dt><dd>{moment_on_page(moment(row.answer_by, row.desk))}" in page


def counted_intervals(page) -> list[int]:
    """Return the minutes of each interval on the page, and last their sum as the page says it."""
    table = page.partition('aria-label="Counted intervals"')[2].partition("</table>")[0]
    return [minutes(cell) for cell in re.findall(r'<td class="numbers">([^<]*)</td>', table)]


def in_whole_minutes(row) -> bool:
    return all(written.count(":") == 1 for written in (row.asked, row.seen, *(one.when for one in row.happened)))


def minutes(written: str) -> int:
    """Return what "2 h 05 min" or "5 min" says."""
    *whole, rest = [int(number) for number in re.findall(r"\d+", written)]
    return 60 * sum(whole) + rest


@pytest.mark.django_db
def test_a_changed_zone_moves_the_deadline_of_a_request_that_waits_and_the_page_says_by_which_clock(
    request_of, settings, clients
):
    request = request_of(TABLE["Tuesday at ten, seen at half past noon"])  # 10:30 UTC
    settings.CIDUTY_CALENDAR = desk("UTC")
    sync.follow()
    request.refresh_from_db()
    assert request.answer_by == datetime(2026, 3, 3, 17, tzinfo=UTC), "asked at 08:00 UTC, before it opens there"
    page = clients[Role.DUTY].get(f"/loaners/{request.pk}/").content.decode()
    assert "09:00 to 17:00 UTC, Monday to Friday" in page
    assert 'The clock <span class="count">1 h 30 min of 8 h 00 min' in page

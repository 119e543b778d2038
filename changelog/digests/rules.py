"""When a digest is due, and how much of everything. Pure: values and the moment in, answers out."""

from datetime import UTC, datetime, time, timedelta

from ciduty.working_time import Calendar, working_intervals

#: By the desk's clock, every day or every Monday (the issue, part 6).
LEAVES_AT = time(8)
MONDAY = 0
#: A publication is dated when it begins and seen when it is committed, and a source is read for a minute or two: what
#: is younger than this waits for the next digest, so that none is left out of both.
SETTLES = timedelta(minutes=5)
#: Lines of one mail; whoever wants the rest follows the link.
MOST_LINES = 100
#: Further ones are counted up to here: "and more than 900 more" says enough.
MOST_COUNTED = 1000
#: The link in the mail that asks: whoever comes later asks again.
CONFIRM_WITHIN = timedelta(days=7)
DAY = timedelta(days=1)
#: Mails that ask one address to confirm: strangers can have them sent, and a mailbox is no toy.
MOST_PER_ADDRESS = 3
#: An office behind one address asks for more digests than this in no day.
MOST_PER_CALLER = 20
#: A mail that changed so often before it left is wrong in another way.
MOST_WRITINGS = 10
_LOOK_BACK = timedelta(days=9)  # a Monday lies in it, whatever the clocks did
_LONG_AFTER = time(20)  # a stretch that no change of the clocks swallows whole
_A_MOMENT = timedelta(microseconds=1)


def newest_slot(desk: Calendar, weekly: bool, at: datetime) -> datetime:
    """Return the last 08:00 of the desk's clock, or of its Mondays, at or before a moment; in UTC.

    On a day whose clock skips 08:00 it is the moment of the jump; where it shows 08:00 twice, the first.
    """
    weekdays = frozenset({MONDAY}) if weekly else frozenset(range(7))
    leaving = Calendar(desk.zone, LEAVES_AT, _LONG_AFTER, country="", weekdays=weekdays)
    return working_intervals(leaving, at - _LOOK_BACK, at + _A_MOMENT)[-1].start.astimezone(UTC)


def is_refused_for_good(code: int | None, came_back: bool) -> bool:
    """Answer whether a mail that failed says that its address takes none, and not that our own server was out."""
    return came_back or (code is not None and 500 <= code < 600)

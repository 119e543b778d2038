"""R27: 24 real hours between the last mandatory acceptance and the start, over every change of summer time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from downtimes import rules
from tests.test_downtime_rule_gates import SOUND

DAY, SECOND = timedelta(hours=24), timedelta(seconds=1)
ZONES = ("Europe/Bucharest", "America/Los_Angeles", "America/New_York")


def changes_of(name):
    """Return the moments from 2026 to 2036 at which a zone's offset changes."""
    zone, moment, found = ZoneInfo(name), datetime(2026, 1, 1, tzinfo=UTC), []
    while moment.year <= 2036:
        later = moment + timedelta(hours=1)
        if moment.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset():
            found.append(later)
        moment = later
    return found


@pytest.mark.parametrize("name", ZONES)
def test_24_hours_exactly_are_allowed_and_one_second_less_is_refused_whatever_the_wall_clock_does(name):
    zone, changes = ZoneInfo(name), changes_of(name)
    assert len(changes) == 22
    for change in changes:
        for before in (timedelta(hours=23), timedelta(hours=12), timedelta(hours=1)):
            told = (change - before).astimezone(zone)  # both in one zone: subtracting them would read the wall clock
            start = (change - before + DAY).astimezone(zone)
            assert start.utcoffset() != told.utcoffset()
            for at, passes in ((told, True), ((change - before + SECOND).astimezone(zone), False)):
                window = replace(SOUND, starts_at=start, ends_at=start + timedelta(hours=3))
                ahead = rules.refusals("announce", replace(window, at=at))
                kept = rules.refusals("begin", replace(window, told_at=at))
                assert (ahead == [], kept == []) == (passes, passes), (name, start)


def test_the_earliest_lawful_start_and_the_latest_notice_are_each_others_mirror():
    for name in ZONES:
        for change in changes_of(name):
            told = (change - timedelta(hours=5)).astimezone(ZoneInfo(name))
            assert rules.earliest_start(told) == change + timedelta(hours=19)
            assert rules.latest_notice(rules.earliest_start(told)) == told

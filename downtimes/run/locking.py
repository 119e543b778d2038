"""Lets those who run a downtime come in turn, and refuses who may not, or whose step comes too early or too late."""

from ciduty import access
from ciduty.states import NotAllowed
from downtimes import telling
from downtimes.models import Downtime
from downtimes.rules import State

NOT_CIDUTY = "Only CiDuty does this: ask the duty person of this downtime."


def want_ciduty(by) -> None:
    """Raise NotAllowed for anybody who is not CiDuty."""
    if not access.may_run_downtimes(by):
        raise NotAllowed(NOT_CIDUTY)


def lock(downtime: Downtime, states, what: str, *, by=None) -> Downtime:
    """Lock a downtime for a step of its run, and return it as it is now.

    Raises NotAllowed in any other state, and for a person who is not CiDuty; without a person nobody is asked for.
    """
    if by is not None:
        want_ciduty(by)
    downtime = telling.lock(downtime)
    if downtime.state not in states:
        raise NotAllowed(f"This downtime is {downtime.get_state_display().lower()}: {what}. Look at it as it is now.")
    return downtime


def lock_running(downtime: Downtime, *, by=None) -> Downtime:
    """Lock a downtime that runs. Raises NotAllowed as `lock` does."""
    return lock(downtime, {State.RUNNING}, "this is done only while it runs", by=by)


def named(about: str) -> Downtime | None:
    """Lock the downtime that a row of the outbox names ("downtime 7"), and return it; None where there is none."""
    number = about.removeprefix("downtime ")
    return Downtime.objects.select_for_update().filter(pk=int(number)).first() if number.isdigit() else None

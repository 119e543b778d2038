"""How moments and lengths of time are written on every page: UTC and the desk's zone, hours and minutes."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from django import template
from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from ciduty.working_time import Calendar

register = template.Library()


@register.filter
def moment(at: datetime | None):
    """Write a moment in the desk's zone with UTC beside it, as a `<time>` element."""
    return "" if at is None else _moment(at, settings.CIDUTY_CALENDAR)


@lru_cache(maxsize=4096)  # a list that refreshes itself writes the same moments again and again
def _moment(at: datetime, calendar: Calendar):
    local, utc = at.astimezone(calendar.tzinfo), at.astimezone(UTC)
    beside = utc.strftime("%H:%M") if utc.date() == local.date() else utc.strftime("%d %b %H:%M")
    # Made of digits and names that strftime and the zone database give: nothing of it comes from outside.
    return mark_safe(
        f'<time datetime="{utc:%Y-%m-%dT%H:%M:%SZ}"><span class="local">{local:%a %d %b %H:%M}</span> '
        f'<span class="utc">{local.tzname()} · {beside} UTC</span></time>'
    )


@register.filter
def stretch(interval):
    """Write a stretch of time within one local day: the day once, from and to in the desk's zone, UTC beside them."""
    start, end = (at.astimezone(settings.CIDUTY_CALENDAR.tzinfo) for at in (interval.start, interval.end))
    if start.date() != end.date():
        return mark_safe(f"{moment(interval.start)} to {moment(interval.end)}")
    utc = f"{interval.start.astimezone(UTC):%H:%M}–{interval.end.astimezone(UTC):%H:%M} UTC"
    return mark_safe(
        f'<time datetime="{interval.start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"><span class="local">'
        f'{start:%a %d %b %H:%M}–{end:%H:%M}</span> <span class="utc">{start.tzname()} · {utc}</span></time>'
    )


@register.filter
def hours(length: timedelta | None) -> str:
    """Write a length of time as hours and minutes: `2 h 05 min`; the sign is left to the words around it."""
    if length is None:
        return ""
    minutes = int(abs(length).total_seconds()) // 60
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


@register.filter
def ago(at: datetime | None, now: datetime) -> str:
    """Write how long before `now` something was, in its largest fitting unit: `12 s ago`, `3 min ago`, `2 d ago`."""
    if at is None:
        return "never"
    seconds = max(0, int((now - at).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size * (2 if unit == "d" else 1):
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


@register.filter
def chip(state):
    """Write a state, an enum's member, as a coloured word."""
    return _chip(str(state), str(state.label))


@lru_cache(maxsize=200)
def _chip(state: str, label: str):
    # Not by the member: those of two enums are equal where their values are, and each has a label of its own.
    return format_html('<span class="state {}">{}</span>', state.replace(" ", "-"), label)


@register.filter
def time_left(row) -> str:
    """Write how much of a promise is left, or how far it has passed; a dash where no clock runs."""
    if row.left is None:
        return "–"
    if row.standing == "overdue":
        return f"{hours(row.left)} over" if row.left <= -timedelta(minutes=1) else "just over"
    return f"{hours(row.left)} left"

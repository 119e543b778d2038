"""How moments and lengths of time are written on every page: UTC and the desk's zone, hours and minutes."""

from datetime import datetime, timedelta, timezone

from django import template
from django.conf import settings
from django.utils.html import format_html

register = template.Library()


@register.filter
def moment(at: datetime | None):
    """Write a moment in the desk's zone with UTC beside it, as a `<time>` element."""
    if at is None:
        return ""
    local = at.astimezone(settings.CIDUTY_CALENDAR.tzinfo)
    utc = at.astimezone(timezone.utc)
    return format_html(
        '<time datetime="{}"><span class="local">{} {}</span> <span class="utc">{} UTC</span></time>',
        utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        local.strftime("%a %d %b %H:%M"),
        local.tzname(),
        utc.strftime("%H:%M") if utc.date() == local.date() else utc.strftime("%d %b %H:%M"),
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

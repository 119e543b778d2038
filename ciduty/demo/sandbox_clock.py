"""Lets the sandbox Bugzilla's clock follow the demo's: it is another process and reads how far from a file."""

from django.conf import settings

from ciduty.models import ClockOffset


def follow() -> None:
    """Tell the sandbox how many seconds the demo's clock is ahead."""
    seconds = ClockOffset.objects.filter(pk=1).values_list("seconds", flat=True).first() or 0
    path = settings.STATE_DIR / "sandbox-clock"
    draft = path.with_suffix(".new")
    draft.write_text(str(seconds))
    draft.replace(path)

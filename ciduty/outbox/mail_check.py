"""A mail to oneself: somebody of CiDuty proves that mail leaves. Nothing else is said here."""

import secrets

from ciduty.outbox import post, purposes
from ciduty.outbox.models import Mail
from ciduty.outbox.rules import Priority

PURPOSE = "outbox: check"
TEXT = """\
This mail shows that ciduty can send mail. {person} asked for it on the
outbox page.

Nothing else is to be done. Whether and when your mail server took it
stands there: {outbox}
"""


def register() -> None:
    """Make the purpose known."""
    purposes.register(purposes.Purpose(PURPOSE, "Check that mail leaves"))


def send_to(person, outbox: str) -> Mail:
    """Write a mail to a person's own address; `outbox` is the page's full address."""
    return post.mail(
        key=f"check {secrets.token_hex(8)}",
        purpose=PURPOSE,
        about=f"person {person.pk}",
        to=person.email,
        subject="ciduty: a check that mail leaves",
        text=TEXT.format(person=person, outbox=outbox),
        by=person,
        priority=Priority.URGENT,
    )

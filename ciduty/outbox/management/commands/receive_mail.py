"""`manage.py receive_mail`: a mail server's pipe. Takes one mail from standard input, and never sends anything."""

import os
import sys

import structlog
from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from ciduty import bell
from ciduty.outbox import receiving

log = structlog.get_logger(__name__)

#: sysexits.h, as mail servers read it: a temporary failure makes them keep the mail and try again.
TRY_AGAIN = os.EX_TEMPFAIL
NO_MAIL = os.EX_DATAERR
CHUNK = 64 * 1024


class Command(BaseCommand):
    """Take one mail in; exit 0 when it was kept, 75 when the mail server shall try again, 65 when there was none."""

    help = (
        "Take in one mail from standard input, a bounce or a reply: in Postfix set recipient_delimiter = +, so that "
        "the marked return paths arrive too, and let the alias or .forward of MAIL_FROM's mailbox be "
        '"|/path/to/manage.py receive_mail || exit 75". Exits 0 when the mail was kept, 75 when the mail server shall '
        "try again, 65 when there was no mail."
    )
    requires_system_checks = []

    def add_arguments(self, parser):
        """Take the envelope's recipient, for mail servers that tell it and write no Delivered-To."""
        parser.add_argument("--recipient", default="", metavar="ADDRESS", help="the address that the mail came to")

    def handle(self, **options):
        """Read, keep, say in one line what was done."""
        message = _read()
        if not message.strip():
            raise CommandError("There was no mail on standard input.", returncode=NO_MAIL)
        try:
            taken = receiving.take(message, options["recipient"])
        except Error as problem:
            words = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
            raise CommandError(
                f"The database does not serve ({words}): try again later.", returncode=TRY_AGAIN
            ) from None
        except Exception:  # a bug of ours must not make the mail server throw the mail away
            log.exception("A mail could not be taken in.")
            raise CommandError("The mail could not be taken in: see the log.", returncode=TRY_AGAIN) from None
        self.stdout.write(taken.sentence)
        bell.wait_until_rung()


def _read() -> bytes:
    """Return as much of standard input as counts; the rest is read too, for some mail servers mind a closed pipe."""
    if sys.stdin is None:
        return b""
    message = sys.stdin.buffer.read(receiving.MOST_OF_A_MAIL + CHUNK)
    while sys.stdin.buffer.read(CHUNK):
        pass
    return message

"""`manage.py smtp_sink`: takes every mail on this machine and keeps it as a file. Nothing is delivered to anyone."""

import asyncio
import re
import signal
import time
from pathlib import Path

from aiosmtpd.smtp import SMTP
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

LARGEST_MAIL = 10_000_000  # bytes


class Keep:
    """Writes each mail to a folder."""

    def __init__(self, folder: Path, say):
        self.folder, self.say = folder, say

    async def handle_DATA(self, server, session, envelope):
        """Keep one mail, and whom it was really for."""
        path = self._write(envelope)
        self.say(f"Kept {path.name}, for {', '.join(map(_printable, envelope.rcpt_tos))}")
        return f"250 Kept as {path.name}"

    def _write(self, envelope) -> Path:
        head = f"X-Envelope-From: {_printable(envelope.mail_from or '<>')}\n"
        head += "".join(f"X-Envelope-To: {_printable(recipient)}\n" for recipient in envelope.rcpt_tos)
        while True:
            path = self.folder / f"{_now()}-{file_name_of(envelope.rcpt_tos[0])}.eml"
            try:
                with path.open("xb") as file:
                    file.write(head.encode() + envelope.content.replace(b"\r\n", b"\n"))
            except FileExistsError:  # two in one microsecond
                continue
            return path


def file_name_of(recipient: str) -> str:
    """Return an address as a part of a file name: letters, digits, `@`, `.`, `-` and `+`, never a leading dot."""
    return re.sub(r"[^A-Za-z0-9@.+-]", "_", recipient).lstrip(".")[:80] or "nobody"


def _printable(address: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in address)


def _now() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds)) + f".{nanoseconds // 1000:06d}Z"


class Command(BaseCommand):
    """Take mail on loopback until told to stop."""

    help = "Take every mail sent to this port of this machine and keep it as an .eml file; deliver nothing."
    requires_system_checks = []

    def add_arguments(self, parser):
        """Take the port and the folder."""
        parser.add_argument("--port", type=int, default=8025, help="port to listen on (default 8025)")
        parser.add_argument("--folder", type=Path, default=settings.STATE_DIR / "mail", help="where mails are kept")

    def handle(self, **options):
        """Serve until SIGINT or SIGTERM. Raises CommandError when the port or the folder cannot be had."""
        try:
            options["folder"].mkdir(parents=True, exist_ok=True)
            asyncio.run(self._serve(options["port"], options["folder"]))
        except OSError as problem:
            where = problem.filename or f"port {options['port']} of this machine"
            raise CommandError(f"The mail sink cannot use {where}: {problem.strerror}.") from None

    async def _serve(self, port: int, folder: Path) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        keep = Keep(folder, self._say)
        server = await loop.create_server(
            lambda: SMTP(keep, data_size_limit=LARGEST_MAIL, enable_SMTPUTF8=True, loop=loop), "127.0.0.1", port
        )
        self._say(f"Mail sink: localhost:{port}, mails in {folder} - stop it with Ctrl-C")
        await stopped.wait()
        server.close()

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

"""The mails that the demo's sink has kept, for whoever plays with it to read. Nothing was delivered to anybody."""

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from django.conf import settings

from ciduty.outbox import as_sent

MOST = 100
#: As `smtp_sink` names them: when it came, and for whom.
_NAME = re.compile(r"[0-9T.]{8,30}Z-[A-Za-z0-9@.+_-]{1,90}\.eml")


@dataclass(frozen=True)
class Kept:
    """One mail: its file, headers and text. `at` is when it was written, None where it does not say."""

    name: str
    at: datetime | None
    to: str
    subject: str
    headers: tuple[tuple[str, str], ...]
    text: str


def folder() -> Path:
    """Return where the sink keeps them."""
    return settings.STATE_DIR / "mail"


def newest() -> list[Kept]:
    """Return the newest mails, the last one first."""
    names = sorted((path.name for path in folder().glob("*.eml") if _NAME.fullmatch(path.name)), reverse=True)
    return [mail for name in names[:MOST] if (mail := named(name)) is not None]


def named(name: str) -> Kept | None:
    """Return one mail by its file's name, None when there is none: nothing else of the disk can be named."""
    path = folder() / name
    if not _NAME.fullmatch(name) or not path.is_file():
        return None
    read = as_sent.read(path.read_bytes())
    said = dict(read.headers)
    return Kept(
        name, _moment(said.get("Date", "")), said.get("To", ""), said.get("Subject", ""), read.headers, read.text
    )


def _moment(date: str) -> datetime | None:
    try:
        return parsedate_to_datetime(date)
    except ValueError:
        return None

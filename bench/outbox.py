"""Measures the outbox: mails a second beside bare smtplib, and the time from a click until the server had the mail."""

import os
import smtplib
import statistics
import time
from urllib.parse import urlsplit

from bench import stage

MAILS = 2000 if os.environ.get("FULL", "") not in {"", "0"} else 300
CLICKS = 200 if os.environ.get("FULL", "") not in {"", "0"} else 40
PURPOSE = "bench: note"


def measure() -> list:
    """Return the rows of the table. Wants EMAIL_URL to name a running sink."""
    from ciduty.outbox import purposes

    purposes.register(purposes.Purpose(PURPOSE, "A note"))
    return [*_throughput(), *_click_to_acceptance()]


def _throughput() -> list:
    from ciduty.outbox import delivery
    from ciduty.outbox.models import Mail

    _write(MAILS)
    message = bytes(Mail.objects.first().message)
    kept = min(_bare(message, MAILS, each_its_own=False) for _ in range(2))
    each = _bare(message, MAILS, each_its_own=True)
    began = time.perf_counter()
    tally = delivery.deliver(delivery.MAIL, seconds=300)
    ours = time.perf_counter() - began
    if tally["sent"] != MAILS:
        raise SystemExit(f"The outbox sent {dict(tally)} of {MAILS} mails.")
    return [
        ("mails a second, one sender", f"{MAILS / ours:.0f}", f"{ours / kept:.1f} times bare smtplib; aim: 20 or more"),
        ("  bare smtplib, one connection", f"{MAILS / kept:.0f}", "floor: the same bytes, no rows"),
        ("  bare smtplib, a connection each", f"{MAILS / each:.0f}", "floor"),
    ]


def _write(count: int) -> None:
    from django.db import transaction

    from ciduty.outbox import post

    with transaction.atomic():
        for number in range(count):
            post.mail(
                key=f"bench {time.monotonic_ns()} {number}",
                purpose=PURPOSE,
                about="bench 1",
                to=f"developer{number}@example.com",
                subject="A note about the trees",
                text="The trees close on Saturday at 06:00 UTC for the downtime of the build network.\n" * 20,
            )


def _bare(message: bytes, count: int, each_its_own: bool) -> float:
    server = urlsplit(os.environ["EMAIL_URL"])
    began = time.perf_counter()
    connection = None
    for number in range(count):
        if connection is None:
            connection = smtplib.SMTP(server.hostname, server.port, timeout=30)
        connection.sendmail("ciduty@example.com", [f"developer{number}@example.com"], message)
        if each_its_own:
            connection.quit()
            connection = None
    if connection is not None:
        connection.quit()
    return time.perf_counter() - began


def _click_to_acceptance() -> list:
    """Click "send me a check mail" as duty while a worker runs, and read from the row when the server had it."""
    from django.test import Client

    from ciduty.outbox.models import Mail
    from ciduty.people.models import Person

    person = Person.objects.create(username="bench duty", role="duty", email="duty@example.com")
    browser = Client()
    browser.force_login(person)
    with stage.worker():
        browser.post("/outbox/check/")
        accepted = Mail.objects.filter(by=person).exclude(accepted_at=None)
        stage.wait_until(accepted.exists, "the worker's first mail", seconds=90)
        for _ in range(CLICKS):
            browser.post("/outbox/check/")
            time.sleep(0.1)
        stage.wait_until(lambda: accepted.count() == CLICKS + 1, "the check mails", seconds=90)
    waits = sorted((row.accepted_at - row.created_at).total_seconds() for row in accepted.order_by("pk")[1:])
    return [
        (
            "from click to acceptance, p95",
            f"{waits[int(len(waits) * 0.95) - 1]:.2f} s",
            f"median {statistics.median(waits):.2f} s of {len(waits)} clicks; aim: under 2 s",
        )
    ]

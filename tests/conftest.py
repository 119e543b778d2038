"""What every test stands on: an environment of its own, shut sockets, Chromium. The cast is in cast.py."""

import atexit
import os
import shutil
import socket
import sys
import tempfile
from ipaddress import ip_address
from itertools import product
from urllib.parse import urlsplit

import pytest

if "ciduty.settings" in sys.modules:
    raise pytest.UsageError(
        "The settings were read before the tests could set theirs: unset DJANGO_SETTINGS_MODULE, and run without --ds."
    )

#: What the environment may choose: which database and which broker the tests run on.
CHOSEN_OUTSIDE = ("DATABASE_URL", "REDIS_URL", "CIDUTY_TEST_PASS", "CIDUTY_BROWSER_TESTS", "CIDUTY_WITHOUT_GATE")
CLEARED = ("BUGZILLA_", "CIDUTY_", "EMAIL_", "GITHUB_", "TREESTATUS_", "OIDC_", "DJANGO_")
CLEARED_NAMES = ("SECRET_KEY", "DEBUG", "SITE_URL", "ALLOWED_HOSTS", "PORT", "MAIL_FROM", "SENTRY_DSN", "LOG_LEVEL")
CLEARED_NAMES += ("BEHIND_PROXY", "SECURE_SSL_REDIRECT")

for name in list(os.environ):
    if name not in CHOSEN_OUTSIDE and (name.startswith(CLEARED) or name in CLEARED_NAMES):
        del os.environ[name]
STATE_DIR = tempfile.mkdtemp(prefix="ciduty-tests-")
atexit.register(shutil.rmtree, STATE_DIR, ignore_errors=True)
os.environ["CIDUTY_STATE_DIR"] = STATE_DIR
os.environ["CIDUTY_ENV_FILE"] = ""  # a developer's own .env is not the tests'
os.environ["DJANGO_SETTINGS_MODULE"] = "ciduty.settings"

import django  # noqa: E402
from django.conf import settings  # noqa: E402

django.setup()

from django.db import connections  # noqa: E402
from django.test import TransactionTestCase  # noqa: E402

from ciduty import ports, refusals  # noqa: E402
from tests import gates  # noqa: E402

pytest_plugins = ("tests.cast", "tests.faults", "tests.running_demo")

_connect, _connect_ex, _getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo
_also_reachable = {urlsplit(os.environ.get("REDIS_URL", "")).hostname}


def _stay_here(host) -> None:
    """Raise RuntimeError for a host that is not this machine (or the Redis that REDIS_URL names)."""
    if isinstance(host, bytes):
        host = host.decode()
    if not host or host == "localhost" or host in _also_reachable:
        return
    try:
        inside = ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise RuntimeError(f"A test tried to reach {host!r}: tests stay on this machine.")


def _guarded_connect(self, address):
    if self.family in {socket.AF_INET, socket.AF_INET6}:
        _stay_here(address[0])
    return _connect(self, address)


def _guarded_connect_ex(self, address):
    if self.family in {socket.AF_INET, socket.AF_INET6}:
        _stay_here(address[0])
    return _connect_ex(self, address)


def _guarded_getaddrinfo(host, *args, **kwargs):
    _stay_here(host)
    return _getaddrinfo(host, *args, **kwargs)


def pytest_configure():
    """Let tests move the clock, sign people in quickly, and reach nothing beyond this machine."""
    settings.TESTING = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.WHITENOISE_AUTOREFRESH = True  # each test client would read every static file's stat once more
    socket.socket.connect, socket.socket.connect_ex = _guarded_connect, _guarded_connect_ex
    socket.getaddrinfo = _guarded_getaddrinfo
    TransactionTestCase._fixture_teardown = _empty_the_tables_unguarded
    gates.switch_off(os.environ.get("CIDUTY_WITHOUT_GATE", ""))
    ports.FIRST = 10_010 + os.getpid() % 700 * 30  # below what the system hands out itself


_empty_the_tables = TransactionTestCase._fixture_teardown


def _empty_the_tables_unguarded(self):
    """Record and frozen notices refuse to be emptied: that is lifted around the flush, and for nothing else."""
    databases = [connections[name] for name in self._databases_names(include_mirrors=False)]
    for refusal, database in product(refusals.known, databases):
        refusal.lift_from(database)
    try:
        _empty_the_tables(self)
    finally:
        for refusal, database in product(refusals.known, databases):
            refusal.set_on(database)


#: A test that asks for one of these looks at the database that the environment chose.
OF_THE_DATABASE = {"db", "transactional_db", "database", "demo_database"}


#: They read every page as everybody: minutes of work.
SWEEPS = {
    "test_access",
    "test_pages_safely",
    "test_canary",
    "test_downtime_canary",
    "test_changelog_public_caching",
}


#: Pages, letters, forms and tables of rules: they ask through the ORM in ordinary ways, which the others do on
#: PostgreSQL in CI. `make test` with DATABASE_URL runs all there.
ORDINARY = {
    "test_asking", "test_border_attacks", "test_bug_writing", "test_changelog_before_asking", "test_changelog_canary",
    "test_changelog_digests", "test_changelog_intervals", "test_changelog_publishing_entering",
    "test_changelog_publishing_pages", "test_changelog_sources_git", "test_changelog_sources_github",
    "test_changelog_sources_mercurial", "test_changelog_sources_pages", "test_demo", "test_demo_pages", "test_desk",
    "test_downtime_agreement", "test_downtime_lists", "test_downtime_needs", "test_downtime_notice",
    "test_downtime_public", "test_downtime_requesting", "test_downtime_review", "test_downtime_rule_agreement",
    "test_downtime_rule_announcing", "test_downtime_rule_notice", "test_downtime_rule_request",
    "test_downtime_rule_window", "test_downtime_sync", "test_downtime_windows", "test_health", "test_loan_pages",
    "test_loaner_answer", "test_loaner_clock_table", "test_loaner_lending", "test_loaner_parsing",
    "test_loaner_reclaiming", "test_loaner_reminders", "test_loaner_settling", "test_loaner_sync",
    "test_loaner_workflow", "test_machine_import", "test_machines", "test_outbox_page", "test_people",
    "test_poll_command", "test_receive_mail", "test_run_begin", "test_run_items", "test_run_outage",
    "test_run_outcomes", "test_run_public", "test_run_review", "test_run_sheet", "test_sign_off",
    "test_sign_off_robot", "test_states", "test_systems", "test_tokens", "test_trees_pages", "test_trees_polling",
}  # fmt: skip


#: They start whole process trees and wait for them, as the browser's do.
PROCESSES = {"test_supervise", "test_start_errors"}


def _module(item) -> str:
    return item.module.__name__.rpartition(".")[2]


def _asks_the_database(item) -> bool:
    return item.get_closest_marker("django_db") is not None or bool(OF_THE_DATABASE & set(item.fixturenames))


#: The passes of CI, by the value of CIDUTY_TEST_PASS: each test is in one of the first three, and "servers" runs once
#: more what another database or broker may decide. Without the variable all tests run.
PASSES = {
    "browser": lambda item: _is_the_browsers(item) or _module(item) in PROCESSES,
    "sweeps": lambda item: not _is_the_browsers(item) and _module(item) in SWEEPS,
    "rest": lambda item: not _is_the_browsers(item) and _module(item) not in SWEEPS | PROCESSES,
    "servers": lambda item: (
        not _is_the_browsers(item) and _module(item) not in SWEEPS | ORDINARY and _asks_the_database(item)
    ),
}


def _is_the_browsers(item) -> bool:
    return item.get_closest_marker("browser") is not None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Keep one pass where one is asked for; browser tests last: Playwright's event loop stays in this thread."""
    wanted = os.environ.get("CIDUTY_TEST_PASS")
    if wanted and wanted not in PASSES:
        raise pytest.UsageError(f"CIDUTY_TEST_PASS is {wanted!r} and may be: {', '.join(PASSES)}.")
    if wanted:
        config.hook.pytest_deselected(items=[item for item in items if not PASSES[wanted](item)])
        items[:] = [item for item in items if PASSES[wanted](item)]
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


CHROMIUM_FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
]


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window, for tests marked `browser`; they skip, and say so, where there is none."""
    if os.environ.get("CIDUTY_BROWSER_TESTS") == "0":
        pytest.skip("switched off by CIDUTY_BROWSER_TESTS=0")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("Chromium is not installed (apt install chromium)")
    from playwright.sync_api import sync_playwright

    flags = CHROMIUM_FLAGS + (["--no-sandbox"] if os.geteuid() == 0 else [])
    # Playwright's loop runs in this thread, and Django would take every query for one inside of it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=flags)
        yield chromium
        chromium.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def page(browser):
    """An empty page of a browser that remembers nothing of the tests before."""
    context = browser.new_context()
    yield context.new_page()
    context.close()

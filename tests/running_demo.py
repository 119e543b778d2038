"""The demo as `make run` starts it, for browser tests: the whole process tree, nothing faked. Tests nothing itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ciduty import ports

ROOT = Path(__file__).resolve().parent.parent
AXE = ROOT / "tests" / "vendor" / "axe.min.js"


class Demo:
    """A running demo: where its pages, its sandbox and its state folder stand."""

    def __init__(self, port, state):
        self.state = state
        self.home = f"http://localhost:{port}"
        self.sandbox = f"http://localhost:{port + 1}"

    def mails(self):
        """Return the mails that the sink has kept, the oldest first."""
        return [path.read_text() for path in sorted((self.state / "mail").glob("*.eml"))]


@pytest.fixture(scope="module")
def running_demo(browser, tmp_path_factory):
    """A demo of its own for each file of tests."""
    port, state = ports.four_free(), tmp_path_factory.mktemp("demo")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("CIDUTY_", "DATABASE_", "REDIS_"))
    }
    environment = kept | {
        "PORT": str(port),
        "CIDUTY_DEMO": "1",
        "CIDUTY_ENV_FILE": "",
        "CIDUTY_STATE_DIR": str(state),
    }
    command = [sys.executable, "manage.py", "supervise"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    told = []
    for line in process.stdout:
        told.append(line)
        if "Ctrl-C stops everything" in line:
            break
    else:
        pytest.fail("The demo did not start:\n" + "".join(told))
    yield Demo(port, state)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


def become(page, demo, role):
    """Sign in as a role with one click."""
    page.goto(demo.home + "/sign-in/")
    page.locator(f".demo button[value={role}]").click()


def until_seen(page, text, seconds=40):
    """Wait for the page's own refreshing to show a text; nothing is reloaded by hand."""
    page.get_by_text(text).first.wait_for(timeout=seconds * 1000)


def shot(name):
    """Return where a screenshot goes: SCREENSHOTS, else the tests' own folder."""
    folder = Path(os.environ.get("SCREENSHOTS", "") or os.environ["CIDUTY_STATE_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder / f"{name}.png")


def violations(page):
    """Return what axe finds wrong with a page, as sentences."""
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")["violations"]
    return [f"{page.url}: {v['id']}: {node['target']} {node['failureSummary']}" for v in found for node in v["nodes"]]

"""The demo as `make run` starts it, for browser tests: the whole process tree, nothing faked. Tests nothing itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

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


def take(page, name):
    """Keep a picture of the whole page where SCREENSHOTS says; without it nobody would look, and nothing is drawn."""
    folder = os.environ.get("SCREENSHOTS", "")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


#: What axe is asked for, whole where the layout changed; where only the colours did, for the colours.
WHOLE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}
#: The four looks of a page: width, scheme and what axe is asked.
LOOKS = ((1280, "light", WHOLE), (1280, "dark", COLOURS), (390, "dark", WHOLE), (390, "light", COLOURS))


def violations(page, asked=WHOLE):
    """Return what axe finds wrong with a page, as sentences."""
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=AXE)
    found = page.evaluate("asked => axe.run(asked)", asked)["violations"]
    return [f"{page.url}: {v['id']}: {node['target']} {node['failureSummary']}" for v in found for node in v["nodes"]]


def looking_page(browser):
    """Return a page in a browser of its own that `faults_of_looks` can look at; close its context after it.

    Nothing moves in it: half-way between two schemes no colour is right.
    """
    return browser.new_context(bypass_csp=True, reduced_motion="reduce").new_page()


def faults_of_looks(page, address):
    """Open a page, unfold it and return what is wrong with it: wide and narrow, light and dark, and in the console."""
    told = []

    def listen(message):
        if message.type == "error":
            told.append(f"{address}: the console says {message.text}")

    page.on("console", listen)
    page.set_viewport_size({"width": LOOKS[0][0], "height": 844})
    page.emulate_media(color_scheme=LOOKS[0][1])
    answer = page.goto(address)
    if answer.status != 200:
        told.append(f"{address}: answered {answer.status}")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    for width, scheme, asked in LOOKS:
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme)
        take(page, f"{urlsplit(address).path.strip('/').replace('/', '-') or 'desk'}-{scheme}-{width}")
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            told.append(f"{address}: {wide} wide on a screen of {width}")
        told += [f"{scheme}, {width}: {sentence}" for sentence in violations(page, asked)]
    page.remove_listener("console", listen)
    return told

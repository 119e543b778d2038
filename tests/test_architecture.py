"""The house keeps its shape: who may import whom, who may read a clock or set a state, and that no test is missed.

Each check takes the path of a file and its source, and says what is wrong with it; each is seen failing here too.
"""

import ast
import re
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command

ROOT = Path(__file__).resolve().parent.parent
JOBS = {"loaners", "downtimes", "cases", "changelog"}
#: Top of the arrows: they may see everything, and nobody imports them.
TOP = ("ciduty.demo", "ciduty.urls", "ciduty.celery")
SANDBOXES = ("ciduty.bugzilla.sandbox", "ciduty.trees.sandbox", "ciduty.sandboxes")
DRAWERS = {"utils", "util", "common", "core", "helpers", "helper", "services", "misc", "lib"}

#: May read a clock of their own, and why. Waiting and measuring with time.monotonic and time.sleep is no clock.
OWN_CLOCK = {
    "ciduty/clock.py": "it is the clock",
    "ciduty/bugzilla/sandbox/": "another server with its own time, which tests and the demo set",
    "ciduty/trees/sandbox/": "another server with its own time, which tests and the demo set",
    "ciduty/sandboxes.py": "the clock of those two",
    "ciduty/management/commands/smtp_sink.py": "names the demo's mails by when they came, and decides nothing",
    "bench/": "it dates the worlds that it makes",
}
#: May catch Exception, and why. `raise` in the end is no catching.
CATCHES_ALL = {
    "ciduty/bugzilla/client.py": "the border: python-bugzilla lets KeyError and TypeError through beside its own",
    "ciduty/sandboxes.py": "a server's edge: a bug of ours becomes an answer, and the server goes on",
    "ciduty/management/commands/tick.py": "the edge of each work of the tick: a broken one must not stop the others",
    "ciduty/trees/polling.py": "the edge of each job that follows: a broken one must not keep news from others",
    "downtimes/run/verifying.py": "the edge of each downtime that runs: a broken one must not keep news from others",
    "ciduty/bell.py": "the broker's library raises what it likes; a lost ring costs seconds",
    "ciduty/outbox/delivery.py": "the edge of each app's hook: its bug holds its own row, and the others leave",
    "ciduty/outbox/management/commands/receive_mail.py": "a mail server's pipe: a bug of ours must not lose the mail",
}
#: May import inside a function, and why.
IMPORTS_LATE = {
    "manage.py main": "Django's own: the settings module is named first",
    "ciduty/clock.py move": "the model needs the apps, and settings import this package before them",
    "ciduty/management/commands/supervise.py _environment": "a real installation never loads the sandbox",
    "ciduty/outbox/apps.py ready": "models cannot be imported before the apps are ready",
    "ciduty/trees/apps.py ready": "models cannot be imported before the apps are ready",
    "changelog/apps.py ready": "models cannot be imported before the apps are ready",
    "loaners/apps.py ready": "models cannot be imported before the apps are ready",
    "downtimes/apps.py ready": "models cannot be imported before the apps are ready",
    "bench/": "the stage sets the environment before Django reads it",
}
#: May import what stands on top, and why.
FROM_THE_TOP = {
    "ciduty/__init__.py": "Celery's own: a worker and a web process share the one application",
    "ciduty/management/commands/supervise.py": "starts the demo and prints its sign-ins; nobody imports a command",
}
#: May speak to the network, and why.
OUTSIDE_WORLD = {
    "ciduty/sandboxes.py": "the servers that stand for those outside",
    "ciduty/bugzilla/": "the border to Bugzilla, and the sandbox",
    "ciduty/outbox/": "the border to mail",
    "ciduty/trees/": "the border to tree status",
    "changelog/sources/": "the sources of changes",
    "ciduty/ports.py": "looks whether a port of this machine is taken",
    "ciduty/supervision.py": "asks its own web server whether it answers",
    "ciduty/management/": "supervises our own processes; receives mail in the demo",
    "bench/": "asks the servers that it started itself",
}


def product_files():
    for place in ("ciduty", *sorted(JOBS), "bench"):
        yield from sorted((ROOT / place).rglob("*.py"))
    yield ROOT / "manage.py"


FILES = {str(path.relative_to(ROOT)): path.read_text() for path in product_files()}


def is_in(path, places):
    return any(path == place or (place.endswith("/") and path.startswith(place)) for place in places)


def module_of(path):
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(path, source):
    """Yield every imported name in full: `from ciduty import clock` is `ciduty.clock`, and `ciduty` too."""
    module = module_of(path)
    package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def belongs(name, package):
    return name == package or name.startswith(package + ".")


# --- the checks -------------------------------------------------------------------------------------------------------


def wrong_arrows(path, source):
    module, names = module_of(path), set(imports(path, source))
    top = [package for package in TOP if belongs(module, package)]
    job = module.partition(".")[0] if module.partition(".")[0] in JOBS else None
    for name in sorted(names):
        if any(belongs(name, package) and not belongs(module, package) for package in TOP):
            if path not in FROM_THE_TOP and not top:
                yield f"imports {name}, which nobody may import"
        other = name.partition(".")[0]
        if other in JOBS and other != job:
            if job is None and belongs(module, "ciduty") and not top:
                yield f"imports the job {other} from what jobs stand on"
            elif job == "changelog" or (job and other != "changelog"):
                yield f"imports the job {other} from the job {job}"
        if belongs(name, "tests") or (belongs(name, "bench") and not belongs(module, "bench")):
            yield f"imports {name} into the product"
        if belongs(name, "ciduty.outbox") and (belongs(module, "ciduty.bugzilla") or belongs(module, "ciduty.trees")):
            yield f"imports {name}: the outbox stands above the borders"


def wrong_libraries(path, source):
    module, names = module_of(path), set(imports(path, source))
    for name in sorted(names):
        if belongs(name, "bugzilla") and path != "ciduty/bugzilla/client.py":
            yield "imports python-bugzilla, which only ciduty/bugzilla/client.py may"
        if any(
            belongs(name, library)
            for library in ("requests", "urllib3", "urllib.request", "http.client", "smtplib", "socket")
        ):
            if not is_in(path, OUTSIDE_WORLD):
                yield f"speaks to the network with {name}"
        sandbox = next((one for one in SANDBOXES if belongs(module, one)), None)
        if sandbox and not belongs(name, sandbox) and name.partition(".")[0] not in sys.stdlib_module_names:
            if name not in ("ciduty", sandbox.rpartition(".")[0]) and not belongs(name, "ciduty.sandboxes"):
                yield f"imports {name}: the sandbox knows neither Django nor ciduty"
        if path.endswith("/rules.py"):
            known = name.partition(".")[0] in sys.stdlib_module_names or name in ("ciduty", "django.db.models")
            known |= belongs(name, "ciduty.states") or belongs(name, "ciduty.working_time")
            known |= name in ("django.db.models.TextChoices", "django.db.models.IntegerChoices")
            if not known:
                yield f"imports {name}: rules know nothing but states, working time, enums and the standard library"


def clock_reads(path, source):
    if is_in(path, OWN_CLOCK) or "/migrations/" in path:
        return
    forbidden = {
        "datetime": {"now", "utcnow", "today"},
        "date": {"today"},
        "timezone": {"now", "localtime", "localdate"},
        "time": {"time", "time_ns", "localtime", "gmtime", "ctime"},
    }
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if node.attr in forbidden.get(owner, ()):
                yield f"line {node.lineno} reads {owner}.{node.attr}"
        elif isinstance(node, ast.ImportFrom):
            taken = {alias.name for alias in node.names}
            if (node.module == "time" and taken & forbidden["time"]) or (
                node.module in ("django.utils.timezone", "django.db.models.functions")
                and taken & {"now", "localtime", "localdate", "Now"}
            ):
                yield f"line {node.lineno} imports a clock"
        elif isinstance(node, ast.keyword) and node.arg in ("auto_now", "auto_now_add"):
            yield f"line {node.value.lineno} lets Django read a clock"


def state_changes(path, source):
    if path == "ciduty/states.py" or "/migrations/" in path:
        return
    for node in ast.walk(ast.parse(source)):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in (part for whole in targets for part in getattr(whole, "elts", [whole])):
            if isinstance(target, ast.Attribute) and target.attr == "state" and isinstance(target.ctx, ast.Store):
                yield f"line {target.lineno} sets .state"
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called == "update" and any(keyword.arg == "state" for keyword in node.keywords):
                yield f"line {node.lineno} updates state"
            if called == "setattr" and any(getattr(argument, "value", "") == "state" for argument in node.args):
                yield f"line {node.lineno} sets state"


def catches(path, source):
    if is_in(path, CATCHES_ALL):
        return
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        if any(kind is None or getattr(kind, "id", "") in ("Exception", "BaseException") for kind in kinds):
            ends_raising = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if not ends_raising:
                yield f"line {node.lineno} catches everything"


def late_imports(path, source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inner = (part for part in ast.walk(node) if isinstance(part, (ast.Import, ast.ImportFrom)))
            if any(inner) and not is_in(path, IMPORTS_LATE) and f"{path} {node.name}" not in IMPORTS_LATE:
                yield f"{node.name} imports inside"


def drawers(path, source):
    for part in module_of(path).split("."):
        if part in DRAWERS:
            yield f"{part} is a drawer, not a thing"


def missing_docstrings(path, source):
    if "/migrations/" in path or (not source and path.endswith("__init__.py")):
        return
    if not ast.get_docstring(ast.parse(source)):
        yield "has no docstring that says what is here and what is not"


CHECKS = [wrong_arrows, wrong_libraries, clock_reads, state_changes, catches, late_imports, drawers, missing_docstrings]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_house_keeps_its_shape(check):
    assert [f"{path} {problem}" for path, source in FILES.items() for problem in check(path, source)] == []


OFFENCES = [
    (wrong_arrows, "ciduty/desk/needs.py", "import loaners.models"),
    (wrong_arrows, "ciduty/desk/needs.py", "from loaners import needs"),
    (wrong_arrows, "ciduty/desk/needs.py", "def needs():\n    from cases import models"),
    (wrong_arrows, "ciduty/clock.py", "import downtimes"),
    (wrong_arrows, "loaners/views.py", "from downtimes.models import Downtime"),
    (wrong_arrows, "cases/views.py", "import loaners"),
    (wrong_arrows, "changelog/views.py", "from cases import models"),
    (wrong_arrows, "loaners/views.py", "from ciduty.demo import world"),
    (wrong_arrows, "ciduty/desk/views.py", "from ciduty import urls"),
    (wrong_arrows, "ciduty/desk/views.py", "from .. import demo"),
    (wrong_arrows, "ciduty/bugzilla/tasks.py", "from ciduty.celery import app"),
    (wrong_arrows, "ciduty/bugzilla/poll.py", "from ciduty.outbox import post"),
    (wrong_arrows, "ciduty/trees/lando.py", "from ciduty import outbox"),
    (wrong_arrows, "loaners/views.py", "from tests.cast import people"),
    (wrong_arrows, "loaners/views.py", "import bench.stage"),
    (wrong_libraries, "ciduty/bugzilla/session.py", "from bugzilla.exceptions import BugzillaError"),
    (wrong_libraries, "loaners/sync.py", "import bugzilla"),
    (wrong_libraries, "loaners/views.py", "import requests"),
    (wrong_libraries, "ciduty/desk/views.py", "from urllib.request import urlopen"),
    (wrong_libraries, "ciduty/bugzilla/sandbox/world.py", "from django.utils import timezone"),
    (wrong_libraries, "ciduty/sandboxes.py", "from ciduty import clock"),
    (wrong_libraries, "ciduty/sandboxes.py", "from ciduty.trees import rules"),
    (wrong_libraries, "ciduty/bugzilla/sandbox/world.py", "from ciduty import clock"),
    (wrong_libraries, "ciduty/bugzilla/sandbox/world.py", "from .. import values"),
    (wrong_libraries, "loaners/rules.py", "from loaners.models import LoanerRequest"),
    (wrong_libraries, "loaners/rules.py", "from django.conf import settings"),
    (wrong_libraries, "loaners/rules.py", "from django.db.models import Q"),
    (wrong_libraries, "loaners/rules.py", "from ciduty import clock"),
    (clock_reads, "loaners/views.py", "at = datetime.now(UTC)"),
    (clock_reads, "loaners/views.py", "at = datetime.datetime.utcnow()"),
    (clock_reads, "loaners/views.py", "at = date.today()"),
    (clock_reads, "loaners/models.py", "at = models.DateTimeField(default=timezone.now)"),
    (clock_reads, "loaners/models.py", "at = models.DateTimeField(auto_now_add=True)"),
    (clock_reads, "loaners/views.py", "at = django.utils.timezone.now()"),
    (clock_reads, "loaners/views.py", "from django.utils.timezone import now"),
    (clock_reads, "loaners/views.py", "from django.db.models.functions import Now"),
    (clock_reads, "loaners/views.py", "import time\nbegan = time.time()"),
    (clock_reads, "loaners/views.py", "from time import time"),
    (state_changes, "downtimes/workflow.py", "row.state = 'announced'"),
    (state_changes, "downtimes/workflow.py", "row.state, row.by = 'announced', 'duty'"),
    (state_changes, "downtimes/workflow.py", "rows.update(state='announced')"),
    (state_changes, "downtimes/workflow.py", "setattr(row, 'state', 'announced')"),
    (catches, "loaners/sync.py", "try:\n    pass\nexcept Exception:\n    pass"),
    (catches, "loaners/sync.py", "try:\n    pass\nexcept (OSError, Exception):\n    pass"),
    (catches, "loaners/sync.py", "try:\n    pass\nexcept:\n    pass"),
    (late_imports, "loaners/sync.py", "def follow():\n    from loaners import models"),
    (late_imports, "loaners/sync.py", "class Following:\n    def follow(self):\n        import json"),
    (drawers, "ciduty/utils.py", ""),
    (drawers, "loaners/services/reclaim.py", ""),
    (missing_docstrings, "loaners/sync.py", "import json"),
    (missing_docstrings, "loaners/sync.py", ""),
]


@pytest.mark.parametrize(("check", "path", "source"), OFFENCES)
def test_each_check_catches_what_it_is_for(check, path, source):
    assert list(check(path, source))


RIGHT = [
    (wrong_arrows, "ciduty/urls.py", "import loaners.views"),
    (wrong_arrows, "ciduty/demo/world.py", "from loaners import models\nfrom ciduty.demo import views"),
    (wrong_arrows, "ciduty/__init__.py", "from ciduty.celery import app"),
    (wrong_arrows, "downtimes/workflow.py", "from changelog import models\nfrom ciduty.outbox import post"),
    (wrong_libraries, "ciduty/bugzilla/client.py", "import bugzilla\nimport requests"),
    (wrong_libraries, "ciduty/bugzilla/poll.py", "from ciduty.bugzilla.client import Client"),
    (
        wrong_libraries,
        "loaners/rules.py",
        "from django.db.models import TextChoices\nfrom ciduty.working_time import Calendar",
    ),
    (clock_reads, "loaners/views.py", "at = clock.now()\nbegan = time.monotonic()"),
    (state_changes, "downtimes/views.py", "if row.state == 'announced':\n    pass"),
    (catches, "loaners/sync.py", "try:\n    pass\nexcept BaseException:\n    undo()\n    raise"),
]


@pytest.mark.parametrize(("check", "path", "source"), RIGHT)
def test_no_check_cries_wolf(check, path, source):
    assert not list(check(path, source))


@pytest.mark.parametrize("allowed", [OWN_CLOCK, CATCHES_ALL, IMPORTS_LATE, FROM_THE_TOP, OUTSIDE_WORLD])
def test_every_exception_has_its_reason(allowed):
    assert all(len(reason) > 10 for reason in allowed.values())


@pytest.mark.parametrize("path", [place.split()[0] for place in (*CATCHES_ALL, *IMPORTS_LATE, *FROM_THE_TOP)])
def test_no_exception_outlives_what_it_was_for(path):
    assert path in FILES or any(known.startswith(path) for known in FILES)


# --- migrations -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db
def test_a_missing_migration_is_noticed(monkeypatch):
    field = apps.get_model("loaners", "LoanerRequest")._meta.get_field("answered_with")
    monkeypatch.setattr(field, "max_length", field.max_length + 1)
    with pytest.raises(SystemExit):
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def unnamed_migrations(names):
    return [name for name in names if re.fullmatch(r"\d{4}_(auto|initial|alter|remove|rename)_?.*", name)]


def test_every_migration_has_a_name_that_says_what_it_does():
    names = [path.stem for path in ROOT.glob("*/migrations/[0-9]*.py")] + [
        path.stem for path in ROOT.glob("ciduty/*/migrations/[0-9]*.py")
    ]
    assert len(names) >= 4
    assert unnamed_migrations(names) == []
    assert unnamed_migrations(["0002_auto_20261121_0717", "0003_initial"])


# --- templates --------------------------------------------------------------------------------------------------------


def wrong_includes(source):
    """Yield every included template whose name does not say that it is a part."""
    for name in re.findall(r"""{%\s*include\s+["']([^"']+)["']""", source):
        if not name.rpartition("/")[2].startswith("_"):
            yield name


def levels_above(name, sources):
    above = re.search(r"""{%\s*extends\s+["']([^"']+)["']""", sources[name])
    return 1 + levels_above(above[1], sources) if above else 0


TEMPLATES = {
    str(path.relative_to(ROOT / "templates")): path.read_text() for path in sorted((ROOT / "templates").rglob("*.html"))
}


def test_what_is_included_is_named_as_a_part():
    assert [(path, name) for path, source in TEMPLATES.items() for name in wrong_includes(source)] == []
    assert list(wrong_includes('{% include "loaners/row.html" with row=row only %}')) == ["loaners/row.html"]
    assert [
        name for path, source in FILES.items() for name in re.findall(r'template="([^"]+)"', source) if "/_" not in name
    ] == []


def test_templates_have_one_base_and_one_level():
    assert {levels_above(name, TEMPLATES) for name in TEMPLATES} == {0, 1}
    assert levels_above("c", {"a": "", "b": '{% extends "a" %}', "c": '{% extends "b" %}'}) == 2


def test_a_part_extends_nothing():
    assert [name for name in TEMPLATES if "/_" in name and levels_above(name, TEMPLATES)] == []


# --- the tests themselves ---------------------------------------------------------------------------------------------


def missed_tests(path, source):
    """Yield what pytest would not run: in a file that its pattern misses, misnamed, or replaced by a namesake."""
    functions = [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    ]
    is_test_file = re.fullmatch(r"test_\w+\.py", path) is not None
    for name in functions:
        if re.match(r"test_|Test[A-Z]", name) and not is_test_file:
            yield f"{name} stands in a file that is not named test_*.py"
        if re.match(r"(tests|test[A-Za-z]|Tests)", name) and not re.match(r"Test[A-Z]", name):
            yield f"{name} is not named test_*"
        if functions.count(name) > 1:
            yield f"{name} stands there twice, and the first never runs"
    if is_test_file and not any(re.match(r"test_|Test[A-Z]", name) for name in functions) and "TestCase" not in source:
        yield "holds no test"


def test_no_test_is_missed():
    files = {str(path.relative_to(ROOT / "tests")): path.read_text() for path in (ROOT / "tests").rglob("*.py")}
    assert [f"{path}: {problem}" for path, source in files.items() for problem in missed_tests(path, source)] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("tests_of_loans.py", "def test_a_thing(): pass"),
        ("loans/test_loans.py", "def test_a_thing(): pass"),
        ("cast.py", "class TestLoans: pass"),
        ("test_loans.py", "def tests_a_thing(): pass"),
        ("test_loans.py", "def test_a_thing(): pass\ndef test_a_thing(): pass"),
        ("test_loans.py", "def a_thing(): pass"),
    ],
)
def test_a_test_that_would_be_missed_is_noticed(path, source):
    assert list(missed_tests(path, source))

"""Switches each gate of the downtimes off in turn and prints whether its own test turned red: `make test-gates`.

Gates stand before what is planned (downtimes/rules.py) and before what is run (downtimes/run/rules.py).

A gate whose test stays green guards nothing that is tested: then this ends with 1.
"""

import os
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent
#: Module of the gates -> where their tests stand.
TABLES = {"downtimes.rules": "tests/test_downtime_rule_gates.py", "downtimes.run.rules": "tests/test_run_rules.py"}
TEST = "test_the_gate_refuses_alone_and_lets_the_nearest_lawful_case_through"
TWO_MINUTES = 120


def switch_off(name: str) -> None:
    """Let the gate of this name refuse nothing in this process; "" switches none. Raises ValueError for no gate."""
    if not name:
        return
    tables = [import_module(module) for module in TABLES]
    if name not in {gate.name for rules in tables for gate in _gates(rules)}:
        raise ValueError(f"no gate is called {name!r}")
    for gates in (gates for rules in tables for gates in rules.GATES.values()):
        gates[:] = [replace(gate, refuses=lambda facts: "") if gate.name == name else gate for gate in gates]


def _gates(rules) -> list:
    return list({gate.name: gate for gates in rules.GATES.values() for gate in gates}.values())


def _red(test: str, gate, without: str) -> bool:
    """Answer whether the gate's own test fails with a gate switched off. Raises RuntimeError when it could not run."""
    command = [sys.executable, *"-m pytest -q --no-header -p no:cacheprovider".split(), f"{test}::{TEST}[{gate.name}]"]
    environment = os.environ | {"CIDUTY_WITHOUT_GATE": without}
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TWO_MINUTES,
        check=False,
    )
    if ended.returncode not in (0, 1):
        raise RuntimeError(f"the test of {gate.name!r} did not run:\n{ended.stdout}{ended.stderr}")
    return ended.returncode == 1


def main() -> int:
    """Print the table, and return how the process ends."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "ciduty.settings"
    django.setup()
    del os.environ["DJANGO_SETTINGS_MODULE"]  # the tests read theirs themselves
    guarded = True
    print(f"{'rule':14} {'gate':46} {'as it is':10} switched off")
    for test, gate in [(test, gate) for module, test in TABLES.items() for gate in _gates(import_module(module))]:
        as_it_is, off = _red(test, gate, ""), _red(test, gate, gate.name)
        words = ["red" if red else "green" for red in (as_it_is, off)]
        print(f"{gate.rule:14} {gate.name:46} {words[0]:10} {words[1]}", flush=True)
        guarded = guarded and off and not as_it_is
    print("Every gate is guarded by its test." if guarded else "A gate is not guarded: see above.")
    return 0 if guarded else 1


if __name__ == "__main__":
    sys.exit(main())

"""Switches each gate of downtimes/rules.py off in turn and prints whether its own test turned red: `make test-gates`.

A gate whose test stays green guards nothing that is tested: then this ends with 1.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent
TEST = "tests/test_downtime_rule_gates.py::test_the_gate_refuses_alone_and_lets_the_nearest_lawful_case_through"
TWO_MINUTES = 120


def switch_off(name: str) -> None:
    """Let the gate of this name refuse nothing in this process; "" switches none. Raises ValueError for no gate."""
    if not name:
        return
    from downtimes import rules

    if name not in {gate.name for gate in _gates(rules)}:
        raise ValueError(f"no gate is called {name!r}")
    for gates in rules.GATES.values():
        gates[:] = [replace(gate, refuses=lambda facts: "") if gate.name == name else gate for gate in gates]


def _gates(rules) -> list:
    return list({gate.name: gate for gates in rules.GATES.values() for gate in gates}.values())


def _red(gate, without: str) -> bool:
    """Answer whether the gate's own test fails with a gate switched off. Raises RuntimeError when it could not run."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", f"{TEST}[{gate.name}]"]
    environment = os.environ | {"CIDUTY_WITHOUT_GATE": without}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TWO_MINUTES, check=False
    )
    if ended.returncode not in (0, 1):
        raise RuntimeError(f"the test of {gate.name!r} did not run:\n{ended.stdout}{ended.stderr}")
    return ended.returncode == 1


def main() -> int:
    """Print the table, and return how the process ends."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "ciduty.settings"
    django.setup()
    del os.environ["DJANGO_SETTINGS_MODULE"]  # the tests read theirs themselves
    from downtimes import rules

    guarded = True
    print(f"{'rule':8} {'gate':46} {'as it is':10} switched off")
    for gate in _gates(rules):
        as_it_is, off = _red(gate, ""), _red(gate, gate.name)
        print(
            f"{gate.rule:8} {gate.name:46} {'red' if as_it_is else 'green':10} {'red' if off else 'green'}", flush=True
        )
        guarded = guarded and off and not as_it_is
    print("Every gate is guarded by its test." if guarded else "A gate is not guarded: see above.")
    return 0 if guarded else 1


if __name__ == "__main__":
    sys.exit(main())

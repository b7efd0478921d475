"""Two faults at once: does fixing the named leaf, and walking again, always end healthy? One command:

    python benchmarks/pairs.py [--only NAME]

Every fault meets two others. Each broken run is trained and walked; the fault that is named is taken out, and
the rest is trained and walked again, until the check calls the run healthy. A case fails where something is
named that is not there, or a run is called healthy that is not.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import diagnosis_cases as cases
import torch
from diagnosis_cases import Case

from minigpt.diagnosis import Verdict, check
from minigpt.faults import FAULTS, find_fault
from minigpt.training.trainer import train

CONFIGURATION = "t1"
APART = (5, 12)  # places in the catalogue between the two faults of a pair
AT = {"overfitting": "overfitting:500"}  # the text short enough to be learnt by heart in time


def pairs() -> list[tuple[str, str]]:
    """Return every pair, each once."""
    ids = [AT.get(id, id) for id in FAULTS]
    found = [(one, ids[(index + apart) % len(ids)]) for apart in APART for index, one in enumerate(ids)]
    return list({frozenset(pair): pair for pair in found}.values())


def settings(faults: tuple[str, ...]) -> dict:
    """Return the length that the evidence of all `faults` needs, and what lets them show."""
    found = [find_fault(fault)[0] for fault in faults]
    steps = max(cases.STEPS.get(fault.leaf, cases.SHORT) for fault in found)
    together = {"steps": steps}
    for fault in found:
        together |= cases.SETTINGS.get(fault.id, {})
    return together


def repaired(pair: tuple[str, ...], seed: int = 0) -> tuple[list[str], bool]:
    """Mend what is named until nothing is.

    Returns:
        What was named, in order, and whether it was the two faults, one after the other, and then health.
    """
    left, named = pair, []
    asked = settings(pair)
    while True:
        with tempfile.TemporaryDirectory() as folder:
            case = Case(CONFIGURATION, seed, left, settings=asked)
            train(case.recipe(Path(folder)), Path(folder) / "run")
            found = check(Path(folder) / "run")
        if found.leaf is None:
            return named, found.verdict is Verdict.PASS and not left
        named.append(found.leaf)
        still = tuple(fault for fault in left if find_fault(fault)[0].leaf != found.leaf)
        if still == left:
            return named, False
        left = still


def main() -> None:
    """Mend every pair and print how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="pairs with this fault")
    only = parser.parse_args().only
    torch.set_num_threads(1)
    asked = [pair for pair in pairs() if any(only in fault for fault in pair)]
    right = 0
    for pair in asked:
        named, ended_healthy = repaired(pair)
        right += ended_healthy
        print(f"{'ok' if ended_healthy else 'WRONG':<6}{' + '.join(pair)}: {' → '.join(named)}", flush=True)
    print(f"{right} of {len(asked)} pairs: the named leaf is fixed, and the end is healthy")


if __name__ == "__main__":
    main()

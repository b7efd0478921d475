"""Two faults at once: does fixing the named leaf, and walking again, always end healthy? One command:

    python benchmarks/pairs.py [--across] [--only NAME] [--seed 0]

Every fault of the configuration meets two others. With `--across` each of them meets one of the dynamics
instead, in a run that has what the latter breaks: a memory, a loss scale, spiking units, two tasks.

Each broken run is trained and walked; the fault that is named is taken out, and the rest is trained and
walked again, until the check calls the run healthy. A case fails where something is named that is not there,
or a run is called healthy that is not.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path

import diagnosis_cases as cases
import torch

from minigpt.config import Config
from minigpt.config.values import ConfigError
from minigpt.diagnosis import Verdict, check
from minigpt.diagnosis.trees import DYNAMICS
from minigpt.faults import FAULTS, Fault, FaultError, find_fault
from minigpt.faults.memory import MEMORY_FAULTS
from minigpt.faults.precision import PRECISION_FAULTS
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import NotFiniteError, train

CONFIGURATION = "t1"
APART = (5, 12)  # places in the catalogue between the two faults of a pair
AT = {
    "overfitting": "overfitting:500",  # the text short enough to be learnt by heart in time
    "no-warmup": "no-warmup:0.5",  # at 0.3 the loss hardly rises, and what grows is the attention's logits
}
NAMED = [fault for fault in FAULTS.values() if fault.leaf not in cases.WARNED]  # the others stay as they are
OF_DYNAMICS = {leaf for question in DYNAMICS.questions for leaf in question.leaves}
ROOM = {  # what a fault of the dynamics needs, so that it breaks anything
    **{
        fault.id: {"mixer": "memory", "short_term_size": 8, "memory_temperature": 4.0}
        | {"homeostasis": True, "homeostasis_target": 0.5}
        for fault in MEMORY_FAULTS
    },
    **{fault.id: {"precision": "fp16", "stop_on_non_finite": False} for fault in PRECISION_FAULTS},
    "undeclared-stdp": {"activation": "spiking"},
    "forgetting": {"tasks": "conjugations,python", "schedule": "constant", "lr_max": 1e-2, "steps": 240}
    | {"replay": 0.25},
}


def pairs() -> list[tuple[str, str]]:
    """Return every pair of faults of the configuration, each once."""
    ids = [AT.get(fault.id, fault.id) for fault in NAMED if fault.leaf not in OF_DYNAMICS]
    found = [(one, ids[(index + apart) % len(ids)]) for apart in APART for index, one in enumerate(ids)]
    return list({frozenset(pair): pair for pair in found}.values())


def pairs_across() -> list[tuple[str, str]]:
    """Return a pair for each fault of the configuration: with the next of the dynamics that goes with it."""
    dynamics = [fault for fault in NAMED if fault.leaf in OF_DYNAMICS]
    found = []
    for number, fault in enumerate(each for each in NAMED if each.leaf not in OF_DYNAMICS):
        one = AT.get(fault.id, fault.id)
        turn = number % len(dynamics)
        others = (*dynamics[turn:], *dynamics[:turn])
        other = next(other.id for other in others if _go_together(one, other))
        found.append((one, AT.get(other, other)))
    return found


def _go_together(one: str, other: Fault) -> bool:
    try:
        Recipe(config((one, other.id))).with_fault(one).with_fault(other.id).refuse_idle()
    except (FaultError, ConfigError):
        return False
    return True


def settings(faults: tuple[str, ...]) -> dict:
    """Return the length that the evidence of all `faults` needs, and what lets them show."""
    found = [find_fault(fault)[0] for fault in faults]
    steps = max(cases.STEPS.get(fault.leaf, cases.SHORT) for fault in found)
    together = {"steps": steps}
    for fault in found:
        together |= cases.SETTINGS.get(fault.id, {}) | ROOM.get(fault.id, {})
    return together | {"steps": max(steps, together["steps"])}


def config(faults: tuple[str, ...], seed: int = 0) -> Config:
    """Return the run that `faults` are put into."""
    return Config(**cases.TUNING[CONFIGURATION] | {"seed": seed} | settings(faults))


def repaired(pair: tuple[str, ...], seed: int = 0) -> tuple[list[str], bool]:
    """Mend what is named until nothing is.

    Returns:
        What was named, in order, and whether it was the two faults, one after the other, and then health.
    """
    left, named = pair, []
    while True:
        recipe = Recipe(config(pair, seed))
        for fault in left:
            recipe = recipe.with_fault(fault)
        with tempfile.TemporaryDirectory() as folder:
            with contextlib.suppress(NotFiniteError):
                train(recipe, Path(folder) / "run")
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
    parser.add_argument("--across", action="store_true", help="one fault of each tree")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = pairs_across() if arguments.across else pairs()
    asked = [pair for pair in found if any(arguments.only in fault for fault in pair)]
    right = 0
    for pair in asked:
        named, ended_healthy = repaired(pair, arguments.seed)
        right += ended_healthy
        print(f"{'ok' if ended_healthy else 'WRONG':<6}{' + '.join(pair)}: {' → '.join(named)}", flush=True)
    print(f"{right} of {len(asked)} pairs: the named leaf is fixed, and the end is healthy")


if __name__ == "__main__":
    main()

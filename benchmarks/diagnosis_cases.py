"""The runs that `diagnosis.py` judges: broken ones and clean ones, on configurations kept apart.

Rules and thresholds are tuned on `TUNING` and on `SEEN`, which was held out once and has been looked at
since. `HELD_OUT` differs from both in shape, batch, learning rate, context, vocabulary, norm, positions,
dropout, schedule, accumulation, mixer, precision and text, and is run once they are frozen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diagnosis_clean_runs import CLEAN
from diagnosis_texts import data

from minigpt.config import Config
from minigpt.faults import FAULTS
from minigpt.runs import run as run_directory
from minigpt.training.recipe import Recipe


class AnyVocabulary(Config):
    """A config whose vocabulary may be smaller than the 256 bytes, for texts in characters."""

    def _require(self, holds: bool, key: str, **values: object) -> None:
        super()._require(holds or key == "vocabulary-below-bytes", key, **values)


run_directory.Config = AnyVocabulary  # so that such a run can be read again

BASE = {"eval_batches": 4, "checkpoint_every": 0, "eval_every": 50}
TUNING = {
    "t1": BASE | {"n_layer": 2, "n_head": 2, "n_embd": 32, "context": 32, "batch_size": 8, "lr_max": 5e-3},
    "t2": BASE
    | {"vocab_size": 1500, "n_layer": 1, "n_head": 3, "n_embd": 48, "context": 28, "batch_size": 6}
    | {"lr_max": 3e-3, "norm": "rmsnorm", "positions": "rotary", "dropout": 0.1, "accumulation": 2}
    | {"schedule": "linear", "lr_min": 0.0},
    "t3": BASE
    | {"vocab_size": 96, "n_layer": 4, "n_head": 2, "n_embd": 24, "context": 36, "batch_size": 8}
    | {"lr_max": 2e-3, "norm_position": "post", "schedule": "wsd", "beta2": 0.999, "lr_min": 1e-4},
    "t4": BASE
    | {"vocab_size": 2500, "n_layer": 3, "n_head": 2, "n_embd": 40, "context": 24, "batch_size": 5}
    | {"lr_max": 8e-3, "activation": "swiglu", "bias": True, "tied_head": False, "accumulation": 4},
}
SEEN = {
    "a": BASE
    | {"vocab_size": 64, "n_layer": 3, "n_head": 3, "n_embd": 48, "context": 48, "batch_size": 6}
    | {"lr_max": 3e-3, "lr_min": 3e-4, "norm": "rmsnorm", "positions": "rotary", "activation": "swiglu"}
    | {"schedule": "wsd", "decay_share": 0.3},
    "b": BASE
    | {"vocab_size": 4096, "n_layer": 1, "n_head": 2, "n_embd": 44, "context": 22, "batch_size": 7}
    | {"lr_max": 6e-3, "dropout": 0.15, "bias": True, "accumulation": 2, "activation": "gelu_tanh"},
    "c": BASE
    | {"vocab_size": 1024, "n_layer": 2, "n_head": 4, "n_embd": 56, "context": 40, "batch_size": 4}
    | {"lr_max": 1.5e-3, "lr_min": 1.5e-4, "norm_position": "post", "dropout": 0.05, "qk_norm": True}
    | {"schedule": "linear", "beta2": 0.95, "accumulation": 3},
    "d": BASE
    | {"vocab_size": 300, "n_layer": 5, "n_head": 2, "n_embd": 28, "context": 20, "batch_size": 16}
    | {"lr_max": 4e-3, "norm": "rmsnorm", "tied_head": False, "weight_decay": 0.05, "clip_norm": 0.5}
    | {"beta1": 0.85, "lr_min": 0.0},
    "e": BASE
    | {"vocab_size": 128, "n_layer": 4, "n_head": 1, "n_embd": 32, "context": 64, "batch_size": 3}
    | {"lr_max": 2.5e-3, "norm": "rmsnorm", "dropout": 0.1, "beta2": 0.98, "accumulation": 4},
    "f": BASE
    | {"vocab_size": 4096, "n_layer": 2, "n_head": 8, "n_embd": 64, "context": 18, "batch_size": 12}
    | {"lr_max": 2e-3, "lr_min": 1e-4, "positions": "rotary", "activation": "swiglu", "tied_head": False}
    | {"schedule": "wsd", "weight_decay": 0.2},
    "g": BASE
    | {"vocab_size": 700, "n_layer": 3, "n_head": 3, "n_embd": 36, "context": 30, "batch_size": 10}
    | {"lr_max": 1e-3, "norm_position": "post", "bias": True, "dropout": 0.2, "schedule": "linear"}
    | {"accumulation": 2},
    "h": BASE
    | {"vocab_size": 64, "n_layer": 6, "n_head": 2, "n_embd": 16, "context": 56, "batch_size": 5}
    | {"lr_max": 7e-3, "lr_min": 7e-5, "norm": "rmsnorm", "qk_norm": True, "activation": "gelu_tanh"}
    | {"beta1": 0.8, "clip_norm": 2.0, "positions": "rotary"},
}
HELD_OUT = {
    "i": BASE
    | {"vocab_size": 900, "n_layer": 2, "n_head": 3, "n_embd": 42, "context": 34, "batch_size": 9}
    | {"lr_max": 3.5e-3, "lr_min": 2e-4, "mixer": "memory", "short_term_size": 6, "memory_temperature": 2.0}
    | {"homeostasis": True, "homeostasis_target": 0.4},
    "j": BASE
    | {"vocab_size": 2000, "n_layer": 3, "n_head": 2, "n_embd": 52, "context": 26, "batch_size": 8}
    | {"lr_max": 2.2e-3, "precision": "fp16", "stop_on_non_finite": False, "norm": "rmsnorm"}
    | {"positions": "rotary", "accumulation": 2},
    "k": BASE
    | {"vocab_size": 80, "n_layer": 5, "n_head": 3, "n_embd": 30, "context": 44, "batch_size": 7}
    | {"lr_max": 4.5e-3, "lr_min": 4.5e-4, "norm_position": "post", "schedule": "wsd", "decay_share": 0.4}
    | {"weight_decay": 0.01, "beta2": 0.97},
    "l": BASE
    | {"vocab_size": 1300, "n_layer": 1, "n_head": 4, "n_embd": 60, "context": 50, "batch_size": 4}
    | {"lr_max": 1.2e-3, "lr_min": 0.0, "activation": "swiglu", "bias": True, "tied_head": False}
    | {"schedule": "linear", "dropout": 0.08, "accumulation": 3, "beta1": 0.88},
}
TEXTS = {"t1": "verbs", "t2": "code", "t3": "code", "t4": "code"}
TEXTS |= {"a": "verbs", "b": "prose", "c": "prose", "d": "verbs"}
TEXTS |= {"e": "more code", "f": "more code", "g": "verbs", "h": "more code"}
TEXTS |= {"i": "numbers", "j": "numbers", "k": "numbers", "l": "prose"}
SETS = {"tuning": TUNING, "seen": SEEN, "held-out": HELD_OUT}

SEVERITIES = {  # besides the default; a schedule's unit only where the accumulation does not set it
    "init-scale": (3, 10),
    "head-bias": (1.5, 2),
    "schedule-step-unit": (2, 8),
    "lr-group-scale": (0.5, 3),
    "always-clipping": (0.01,),
    "lr-too-low": (1e-8,),
    "weight-mean": (0.005, 0.02),
    "gradient-spikes": (1e5,),
    "overfitting": (250, 500),
    "not-untrained": (400,),
    "mode-left-on": (0.05,),
    "class-weights": (2000,),
    "dead-units": (0.75,),
}
STEPS = {  # that the evidence of a leaf needs; SHORT for all others
    "lr-too-low": 201,
    "shuffled-targets": 200,
    "overfitting": 500,
    "gradient-spikes": 110,
    "loss-spike-lr": 240,
    "loss-spike-batch": 300,
    "warmup-missing": 40,
    "attention-logit-growth": 200,
    "plateau": 240,
    **dict.fromkeys(
        ("memory-gate-collapse", "memory-feedback", "memory-saturation", "memory-leak-across-batches")
        + ("random-consolidation", "dead-gate", "homeostasis-windup"),
        60,
    ),
}
WARNED = ("dead-units",)  # of which the check warns, and calls no run broken for them
NOT_HERE = (
    "forgetting",  # needs the two tasks of the course, and these runs bring texts of their own
    "faint-tokens",  # needs a text so even that a hundred losses show a fall of 1 %: the course's corpus is
)
SHORT, CLEAN_STEPS = 30, 210
# In 500 steps a text is learnt by heart where it is short and nothing hinders it. Of the 2000 tokens by
# default some of these models know too little by then for anything to be seen.
NOT_BY_DEFAULT = ("overfitting",)
SETTINGS = {
    "overfitting": {"lr_max": 3e-3, "lr_min": 3e-4, "dropout": 0.0, "weight_decay": 0.0},
    # batches so large that a hundred losses show to 1 % that they stand still
    "faint-tokens": {"batch_size": 64, "accumulation": 1, "eval_batches": 1},
}


@dataclass(frozen=True)
class Case:
    """One run: what it is made of, and the leaf that must be named (None: healthy)."""

    configuration: str
    seed: int
    faults: tuple[str, ...] = ()
    clean: str | None = None  # which kind of clean run
    leaf: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """A name of its own: configuration, what was done to it, and the seed."""
        return f"{self.configuration}/{'+'.join(self.faults) or self.clean}/{self.seed}"

    def config(self) -> Config:
        """Return the configuration with this run's settings."""
        settings = (TUNING | SEEN | HELD_OUT)[self.configuration] | {"steps": SHORT, "seed": self.seed}
        return AnyVocabulary(**settings | self.settings)

    def recipe(self, folder: Path) -> Recipe:
        """Return what to train; `folder` takes what the run starts from."""
        text = TEXTS[self.configuration]
        recipe = Recipe(self.config(), load_data=lambda config: data(text, config.vocab_size))
        if self.clean:
            return CLEAN[self.clean](recipe, folder)
        for fault in self.faults:
            recipe = recipe.with_fault(fault)
        return recipe


def broken(configurations: dict[str, dict], seeds: range) -> Iterator[Case]:
    """Yield every fault at every severity."""
    for name, settings in configurations.items():
        for fault in FAULTS.values():
            if fault.id in NOT_HERE or fault.idle(AnyVocabulary(**settings | {"steps": 500}), fault.severity):
                continue
            more = () if _set_by_accumulation(fault.id, settings) else SEVERITIES.get(fault.id, ())
            labels = [fault.id] * (fault.id not in NOT_BY_DEFAULT)
            for label in (*labels, *(f"{fault.id}:{severity:g}" for severity in more)):
                asked = {"steps": STEPS.get(fault.leaf, SHORT)} | SETTINGS.get(fault.id, {})
                for seed in seeds:
                    yield Case(name, seed, (label,), leaf=fault.leaf, settings=asked)


def _set_by_accumulation(fault: str, settings: dict) -> bool:
    return fault == "schedule-step-unit" and settings.get("accumulation", 1) > 1


def clean(configurations: dict[str, dict], seeds: range) -> Iterator[Case]:
    """Yield every kind of clean run."""
    for name in configurations:
        for kind in CLEAN:
            for seed in seeds if kind == "plain" else seeds[:2]:
                steps = 500 if kind == "long" else CLEAN_STEPS
                yield Case(name, seed, clean=kind, settings={"steps": steps})

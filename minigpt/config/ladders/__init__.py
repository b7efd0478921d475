"""Ladders: a healthy base, and features that are added to it one at a time. `minigpt ladder` climbs them.

A ladder is a YAML file:

    base: {n_layer: 2, steps: 200}            # settings of every rung
    chance: 12.21                             # of the promises' vocabulary, in nats; may be left out
    rungs:
      - {name: base}
      - {name: STDP, add: {activation: spiking, plasticity: pair}, promised: {loss: [8, 10], minutes: 30}}
      - {name: broken, fault: init-scale}     # a fault of `minigpt faults`, from here on

What a rung adds stays for the rungs after it; `promised` are published figures, to compare with. The
shipped ones stand in this folder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from minigpt.config.config import Config, flat
from minigpt.config.values import ConfigError
from minigpt.messages import message, nearest

FOLDER = Path(__file__).parent
LADDERS = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
LADDER = ("base", "chance", "rungs")
RUNG = ("name", "phase", "add", "fault", "promised")
COLUMNS = (
    "loss",
    "grad_norm",
    "minutes",
    "swing",
    "speedup",
    "speed",
)  # figures that every rung is shown with
SPANS = ("loss", "range", "slower", "faster")  # promised from one number to another
BY_STEP = ("loss_at", "norm_at")  # promised at some steps
# What can be promised of a rung; `minigpt.diagnosis.climbed` measures each, and says how.
PROMISED = (
    *COLUMNS,
    *("val_loss", "gain", "accuracy", "range", "fall", "rate_gap", "noise", "pace", "slower", "faster"),
    *BY_STEP,
)


@dataclass(frozen=True)
class Rung:
    """One feature more."""

    name: str
    add: Mapping[str, Any] = field(default_factory=dict)
    fault: str | None = None
    phase: int | None = None
    promised: Mapping[str, Any] = field(default_factory=dict)  # published figures: see `PROMISED`


@dataclass(frozen=True)
class Ladder:
    """Its rungs from the base upwards."""

    name: str
    base: Mapping[str, Any]
    rungs: tuple[Rung, ...]
    chance: float | None = None  # ln V of the vocabulary that the promises are about

    def configs(self, given: Mapping[str, Any] | None = None) -> list[tuple[Rung, Config, tuple[str, ...]]]:
        """Return every rung with its config and the faults so far; `given` settings replace the base's.

        Raises:
            ConfigError: the settings of a rung do not go together.
        """
        settings, faults, found = {**self.base, **(given or {})}, (), []
        for rung in self.rungs:
            settings |= rung.add
            faults = (*faults, rung.fault) if rung.fault else faults
            found.append((rung, Config.from_dict(settings), faults))
        return found


def load_ladder(name: str) -> Ladder:
    """Return a shipped ladder by name, or the one in a YAML file.

    Raises:
        ConfigError: there is none of that name, or the file is not as this module says.
    """
    path = FOLDER / f"{name}.yaml" if name in LADDERS else Path(name)
    if not path.is_file():
        raise ConfigError("ladder.unknown", given=name, known=", ".join(LADDERS), hint=nearest(name, LADDERS))
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError("config.not-yaml", detail=" ".join(str(error).split())[:200]) from None
    return _ladder(path, content)


def _ladder(path: Path, content: Any) -> Ladder:
    if not isinstance(content, Mapping) or not isinstance(content.get("rungs"), list) or not content["rungs"]:
        raise ConfigError("ladder.no-rungs", path=path)
    _refuse_unknown(path, content, LADDER)
    rungs = []
    for number, rung in enumerate(content["rungs"], start=1):
        if not isinstance(rung, Mapping) or rung.get("name") is None:
            raise ConfigError("ladder.no-name", path=path, number=number)
        _refuse_unknown(path, rung, RUNG)
        for name in ("name", "fault"):
            _refuse(path, name, rung.get(name), "text", isinstance(rung.get(name, ""), str))
        promised = _settings(path, "promised", rung)
        _refuse_unknown(path, promised, PROMISED)
        for name, figure in promised.items():
            _refuse_no_figure(path, name, figure)
        rungs.append(Rung(**{**rung, "add": flat(_settings(path, "add", rung)), "promised": promised}))
    chance = content.get("chance")
    _refuse(path, "chance", chance, "number", chance is None or _is_number(chance))
    return Ladder(path.stem, flat(_settings(path, "base", content)), tuple(rungs), chance)


def _settings(path: Path, name: str, within: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what stands under `name`, names with values; none where it is left out."""
    found = within.get(name)
    _refuse(path, name, found, "settings", found is None or isinstance(found, Mapping))
    return found or {}


def _refuse_no_figure(path: Path, name: str, figure: Any) -> None:
    if name in SPANS:
        span = isinstance(figure, list) and len(figure) == 2 and all(map(_is_number, figure))
        _refuse(path, name, figure, "span", span)
    elif name in BY_STEP:
        steps = (
            isinstance(figure, Mapping) and figure and all(type(step) is int and step >= 0 for step in figure)
        )
        _refuse(path, name, figure, "by-step", steps and all(map(_is_number, figure.values())))
    elif name == "accuracy":  # of which more is promised
        share = _is_number(figure) or (figure == 0 and not isinstance(figure, bool))
        _refuse(path, name, figure, "share", share and figure < 1)
    else:
        _refuse(path, name, figure, "number", _is_number(figure))


def _refuse_unknown(path: Path, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise ConfigError("ladder.unknown-key", path=path, name=name, hint=nearest(str(name), known))


def _refuse(path: Path, name: str, given: Any, wanted: str, holds: bool) -> None:
    if not holds:
        wanted = message(f"ladder.wanted-{wanted}")
        raise ConfigError("ladder.wrong-kind", path=path, name=name, given=given, wanted=wanted)


def _is_number(value: Any) -> bool:
    """Return whether a figure can be compared with: a number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf

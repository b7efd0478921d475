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

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from minigpt.config.config import Config, flat
from minigpt.config.values import ConfigError
from minigpt.messages import nearest

FOLDER = Path(__file__).parent
LADDERS = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
RUNG = ("name", "phase", "add", "fault", "promised")
# Of a rung: loss (from, to), grad_norm (most), minutes, swing of the loss (`minigpt.diagnosis.ladder.swing`);
# and × the first rung: speedup (loss that falls in a step) and speed (steps a second).
PROMISED = ("loss", "grad_norm", "minutes", "swing", "speedup", "speed")


@dataclass(frozen=True)
class Rung:
    """One feature more."""

    name: str
    add: Mapping[str, Any] = field(default_factory=dict)
    fault: str | None = None
    phase: int | None = None
    promised: Mapping[str, Any] = field(default_factory=dict)  # figures: see `PROMISED`


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
    rungs = []
    for number, rung in enumerate(content["rungs"], start=1):
        if not isinstance(rung, Mapping) or "name" not in rung:
            raise ConfigError("ladder.no-name", path=path, number=number)
        for key in rung:
            if key not in RUNG:
                raise ConfigError("ladder.unknown-key", path=path, name=key, hint=nearest(str(key), RUNG))
        for key in rung.get("promised") or {}:
            if key not in PROMISED:
                raise ConfigError("ladder.unknown-key", path=path, name=key, hint=nearest(str(key), PROMISED))
        rungs.append(Rung(**{**rung, "add": flat(rung.get("add") or {})}))
    return Ladder(path.stem, flat(content.get("base") or {}), tuple(rungs), content.get("chance"))

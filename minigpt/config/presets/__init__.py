"""Shipped settings by name: `minigpt train --preset tiny`. Each is a YAML file here, and says what it is for.

    config = Config.from_dict(load_preset("tiny"))

A preset is where a run starts from: variables, `--config` files and flags change what they name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from minigpt.config.values import ConfigError
from minigpt.messages import nearest

FOLDER = Path(__file__).parent
PRESETS = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load_preset(name: str) -> dict[str, Any]:
    """Return the settings of a preset, as plain data.

    Raises:
        ConfigError: no preset has that name; the nearest is suggested.
    """
    if name not in PRESETS:
        raise ConfigError(
            "config.unknown-preset", given=name, known=", ".join(PRESETS), hint=nearest(name, PRESETS)
        )
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8")) or {}

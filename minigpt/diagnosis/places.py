"""Which place in the program a leaf points at, where a monitor noted places."""

from __future__ import annotations

from collections.abc import Mapping

LEAVES = {  # a place, and the leaves whose cause is to be looked for there
    "model": ("init-scale", "head-bias", "weight-mean", "residual-scale", "missing-norm", "future-leak"),
    "step": (
        *("missing-zero-grad", "always-clipping", "accumulation-sum", "accumulation-token-weighting"),
        *("lost-optimizer-state", "scheduler-never-stepped", "schedule-step-unit", "base-lr-zero"),
    ),
}


def place_of(leaf: str | None, places: Mapping[str, str] | None) -> str | None:
    """Return "file:line" for a leaf, or None where it is not known."""
    name = next((name for name, leaves in LEAVES.items() if leaf in leaves), None)
    return (places or {}).get(name)

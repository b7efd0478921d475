"""Thresholds that several parts of the program use, each in one place.

Questions, probes, telemetry, the dashboard's panels and the card read them here, so they cannot disagree.
A threshold that one question alone uses stands with that question.
"""

from __future__ import annotations

# The global gradient norm before clipping, as a mean over GRADIENT_STEPS steps.
GRADIENT_STEPS = 20
GRADIENT_LOW = 0.01  # below: next to nothing reaches the weights
GRADIENT_HIGH = 5.0  # above: large
GRADIENT_CRITICAL = 10.0  # above: too large even for a single step at the start
GRADIENT_BANDS = (  # name, from, to (None: no end)
    ("healthy", GRADIENT_LOW, GRADIENT_HIGH),
    ("high", GRADIENT_HIGH, GRADIENT_CRITICAL),
    ("critical", GRADIENT_CRITICAL, None),
)

# A spike is a value far above the mean of the calm steps before it. A gradient norm above SPIKE_NORM is one
# whatever came before it.
SPIKE_STEPS = 100  # calm steps in that mean
SPIKE_ENOUGH = 20  # calm steps before a mean tells anything
LOSS_SPIKE = 5.0  # × the mean
GRADIENT_SPIKE = 3.0  # × the mean
SPIKE_RECOVERED = 1.5  # × the mean: below, the spike is over
SPIKE_NORM = 100.0
SPIKES_WITHIN = 200  # steps in which spikes are counted

# Warm-up: lr(t) = lr_max · (t + 1) / W.
WARMUP_REACHED = 0.95  # of lr_max, at the last step of the warm-up

# Of the scored positions, the share whose target is the next token.
NEXT_TOKEN_SHARE = 0.9

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

# ---------------------------------------------------------------------- dynamics

# A robust z: how far a value lies above what was usual, in standard deviations.
MAD_DEVIATIONS = 1.4826  # standard deviations in a MAD, the median distance from the median
SPIKE_RECENT = 16  # ordinary values that say where the curve is
SPIKE_NATS = 0.1  # a loss that rises by less, or is below, is no spike that matters
SPIKE_LEAST_SPREAD = 0.01  # × the level: below this a distance in standard deviations means nothing
SPIKE_Z = 6.0  # above: out of the ordinary
SPIKE_WINDOW = 128  # ordinary steps that tell what is usual
SPIKE_LASTS = 3  # steps out of the ordinary, within SPIKE_NEAR, that are no accident; a single one is
SPIKE_NEAR = 20  # steps

# A learning rate that leaps: × that of the step before, where the schedule asks for no such thing.
RATE_LEAP = 3.0
RATE_SOON = 5  # steps after it in which a spike of the loss is its doing

# The start without a warm-up.
START_STEPS = 20
START_RISE = 0.5  # nats above ln V within those steps

# RMS of g²/v over a tensor, √mean(g²/v): 1 when the second moment is up to date (Wortsman et al., 2023).
RMS_STALE = 2.3
RMS_TIMES = 3  # measurements in a row: single batches of small runs exceed it

# Largest |q·k/√d| of a causal pair, and the entropy of attention ÷ ln(tokens that can be seen).
ATTENTION_LOGIT = 100.0  # above: large
ATTENTION_LOGIT_BROKEN = 1000.0  # above, with an entropy below ATTENTION_ENTROPY: broken
ATTENTION_ENTROPY = 0.05

# ln Z = logsumexp of the logits of a position, as a mean; and root mean squares against those at the start.
LOG_Z_DRIFT = 10.0  # nats away from where it was when the warm-up ended
GROWTH = 5.0  # × its first value: of the norms' gains, of the token embedding

# The simple noise scale (McCandlish et al., 2018) ÷ the tokens of a step, so many times in a row.
NOISE_RATIO = 30.0
NOISE_TIMES = 3

# A loss that stands still: its fall over the last stretch, with twice its standard error, ÷ the loss.
PLATEAU_SHARE = 0.1  # of the run
PLATEAU_STEPS = 100  # steps in the stretch, at least
PLATEAU_FALL = 0.01
PLATEAU_NEAR = 0.95  # × the entropy of single tokens: above, the model knows no more than their frequency

# Validation past its best, and an old task past its best.
ONSET_ERRORS = 3.0  # standard errors
ONSET_NATS = 0.05
FORGOTTEN = 0.5  # nats

# Scaling of an fp16 loss.
SCALE_LOG2 = 16  # the first scale is 2^16 by default; each halving skips one step
SCALE_SKIPS = 3  # skipped steps in a row beyond those halvings
UNDERFLOW_ODD = 0.05  # share of gradients that are 0 in fp16 and not in fp32
UNDERFLOW = 0.25

# Memory.
GATE_ENTROPY = 0.1  # ÷ ln k: below, one gate takes all
GATE_MAX_SHARE = 0.9  # of the tokens whose largest gate is above 0.95
MEMORY_WRITES = 20  # writes over which the size of a memory is looked at
MEMORY_FACTOR = 4.0  # × its size over those writes, and no slower at their end
MEMORY_DUPLICATES = 0.5  # share of the slots that hold what another slot holds
CLAMPED = 0.5  # share of homeostatic scales at their limit
LEAK = 1e-4  # of the spread of the logits: answers that differ by more differ

# The clock.
SLOW_FIRST = 100  # steps that tell the usual time of a step
SLOW_FACTOR = 3.0  # another program on the machine doubles it
DEAD_SHARE = 0.5  # of the units of a layer that are inactive on every probe row
REPEATED_SHARE = 0.2  # of the logged steps that are logged twice
POSITIONS = ("pos", "wpe", "place")  # in the name of a table of positions

NO_LOSS = 50.0  # nats per token: more than a vocabulary of any size can cost

"""One optimizer step as a run writes it down: a line of metrics.jsonl."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class MemoryFigures(TypedDict):
    """Memory at one step; lists have an entry for each layer (`minigpt.model.mixers.memory.figures`)."""

    gate_entropy: list[float]  # ÷ ln (sources that have something to give); 1 is an even gate
    gate_max_share: list[float]  # of the tokens at which one source has more than 0.95
    norm: list[float]  # ‖values of the long-term memory‖
    writes: list[int]  # of the long-term memory, so far
    size: list[int]  # slots taken
    capacity: int  # slots there are
    duplicates: list[float]  # share of the taken slots that say the same as an earlier one
    clamped: NotRequired[list[float]]  # share of the scales at their clamp, with homeostasis


class StepRecord(TypedDict):
    """One line of metrics.jsonl. Read it by column (`minigpt.runs.jsonl.Columns`); runs may add columns."""

    step: int  # optimizer step, from 0
    attempt: NotRequired[int]  # how often a guard had undone something before; absent: 0
    data_step: NotRequired[int]  # number of the batch, where a guard has left out some
    lr_scale: NotRequired[float]  # × the schedule, where a guard has scaled the rate
    dropped: NotRequired[bool]  # a guard undid the step before its update
    loss: NotRequired[float]  # nats per token
    val_loss: NotRequired[float]  # nats per token; of several tasks, that of the current one
    plasticity: NotRequired[dict[str, float]]  # declared writes: their size ÷ the weights', spikes a token
    grad_norm: NotRequired[float]  # global, before clipping
    clipped: NotRequired[bool]
    lr: NotRequired[dict[str, float]]  # by parameter group; the column of a group is `lr.<group>`
    other_lr: NotRequired[dict[str, float]]  # of optimizers beside the main one
    tokens: NotRequired[int]  # scored in this step
    scale: NotRequired[float]  # of an fp16 loss
    skipped: NotRequired[bool]  # an fp16 gradient overflowed
    tasks: NotRequired[dict[str, float]]  # validation loss of each task of a sequence
    seconds: NotRequired[float]
    memory: NotRequired[MemoryFigures]  # now and then, of a model with memory
    train: NotRequired[dict[str, float]]  # with it: stm_size and ltm_size, tokens in each memory

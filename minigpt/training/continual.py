"""Learning several tasks one after the other, and two ways not to forget the first.

    config = Config(tasks="conjugations,python", replay=0.25)
    config = Config(tasks="conjugations,python", ewc=100.0)

Each task has an equal share of the steps. **Replay** takes part of every batch from earlier tasks. **Elastic
weight consolidation** (Kirkpatrick et al., 2017) draws a weight back to where a task left it, with a force
that grows with the weight's Fisher information there:

    gradient += λ · Σ_tasks F_task · (θ − θ_task)

F is the diagonal of the empirical Fisher information: the mean over sequences of the squared gradient of
a sequence's mean loss. The sums Σ F and Σ F·θ are all that has to be kept, however many tasks there were:
they are the model's memory (`minigpt.model.state`), which checkpoints and snapshots hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from minigpt.config import Config
from minigpt.data.batches import Batch, windows
from minigpt.data.tasks import Task
from minigpt.training.parts import GetBatch, Loss


def task_at(step: int, config: Config) -> int:
    """Return the index of the task that a step learns: K tasks share the steps evenly."""
    tasks = len(config.task_names())
    return min(step * tasks // config.steps, tasks - 1)


def is_last_of_task(steps_done: int, config: Config) -> bool:
    """Return whether a task ends after this many steps."""
    if steps_done == 0:
        return False
    return steps_done == config.steps or task_at(steps_done, config) != task_at(steps_done - 1, config)


class TaskBatches:
    """Micro-batches of the current task, mixed with rows of the earlier ones: a function of their place."""

    def __init__(self, tasks: tuple[Task, ...], config: Config, device: torch.device | str = "cpu"):
        self.config = config
        self._current = [task.train.to(device) for task in tasks]
        self._earlier = [None, *(torch.cat(self._current[:k]) for k in range(1, len(tasks)))]
        plain = {"tasks": "", "replay": 0.0, "ewc": 0.0}
        self._replayed = config.replayed_rows()
        new = config.batch_size - self._replayed
        self._alone = config.replace(**plain)
        self._new = config.replace(batch_size=new, **plain)
        self._old = config.replace(batch_size=max(self._replayed, 1), **plain)

    def batch(
        self, get_batch: GetBatch, step: int, micro: int = 0, rank: int = 0, world_size: int = 1
    ) -> Batch:
        """Return a micro-batch (B, T); replayed rows stand at its end."""
        task, place = task_at(step, self.config), (rank, world_size)
        earlier = self._earlier[task]
        if earlier is None or not self._replayed:
            return get_batch(self._current[task], self._alone, step, micro, *place)
        new = get_batch(self._current[task], self._new, step, micro, *place)
        # a number of its own for every micro-batch, so that both parts are drawn apart
        old = get_batch(earlier, self._old, step, self.config.accumulation + micro, *place)
        return Batch(*(torch.cat(parts) for parts in zip(new, old, strict=True)))


def fisher(model: nn.Module, loss: Loss, rows: Iterable[Batch]) -> dict[str, Tensor]:
    """Return the diagonal of the empirical Fisher information, by parameter.

    Args:
        rows: batches of one sequence each.
    """
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    sums = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
    was_training, count = model.training, 0
    model.eval()
    for row in rows:
        value = loss(model(row.inputs), row.targets, row.mask)
        found = torch.autograd.grad(value, list(named.values()), allow_unused=True)
        for total, gradient in zip(sums.values(), found, strict=True):
            if gradient is not None:
                total += gradient.square()
        count += 1
    model.train(was_training)
    return {name: total / max(count, 1) for name, total in sums.items()}


def spread_rows(tokens: Tensor, count: int, context: int) -> list[Batch]:
    """Return `count` sequences that lie evenly in a text, each a batch of one."""
    starts = torch.linspace(0, len(tokens) - context - 1, count).long()
    return [windows(tokens, start[None], context) for start in starts]


class Consolidation(nn.Module):
    """What elastic weight consolidation keeps of the tasks that are finished. It has no parameters."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, Tensor] = {}  # "force/<name>": Σ F, "pull/<name>": Σ F · θ

    def anchor(self, model: nn.Module, information: Mapping[str, Tensor]) -> None:
        """Hold the weights where they are, each by its Fisher information."""
        parameters = dict(model.named_parameters())
        for name, value in information.items():
            for key, more in (("force", value), ("pull", value * parameters[name].detach())):
                kept = self._kept.get(f"{key}/{name}")
                self._kept[f"{key}/{name}"] = more if kept is None else kept + more

    @torch.no_grad()
    def add_gradients(self, model: nn.Module, strength: float, scale: float = 1.0) -> None:
        """Add λ (Σ F · θ − Σ F · θ_task) to the gradients.

        Args:
            scale: factor of the loss that the gradients come from, as a gradient scaler has it.
        """
        for name, parameter in model.named_parameters():
            if parameter.grad is not None and f"force/{name}" in self._kept:
                force, pull = self._kept[f"force/{name}"], self._kept[f"pull/{name}"]
                parameter.grad += scale * strength * (force * parameter - pull)

    def memory_state(self) -> dict[str, Tensor]:
        """Return both sums by parameter."""
        return self._kept

    def load_memory_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `memory_state` returned."""
        self._kept = dict(state)


class Continual:
    """What a trainer asks on its way through the tasks of a run."""

    def __init__(self, model: nn.Module, tasks: tuple[Task, ...], config: Config, device: str):
        self.config, self.tasks, self.device = config, tasks, device
        self.batches = TaskBatches(tasks, config, device)
        self.consolidation = Consolidation() if config.ewc else None
        if self.consolidation is not None:
            model.add_module("consolidation", self.consolidation)  # where checkpoints look for memory

    def task(self, step: int) -> Task:
        """Return the task that a step learns."""
        return self.tasks[task_at(step, self.config)]

    def add_gradients(self, model: nn.Module, scale: float) -> None:
        """Draw weights back to where earlier tasks left them."""
        if self.consolidation is not None:
            self.consolidation.add_gradients(model, self.config.ewc, scale)

    def settle(self, model: nn.Module, loss: Loss, data_step: int) -> None:
        """Take note of a task that has just ended; `data_step` is its last one."""
        if self.consolidation is not None and data_step + 1 < self.config.steps:
            tokens = self.task(data_step).train.to(self.device)
            rows = spread_rows(tokens, self.config.ewc_rows, self.config.context)
            self.consolidation.anchor(model, fisher(model, loss, rows))

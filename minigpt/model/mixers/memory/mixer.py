"""The mixer: attention, short-term and long-term memory behind one gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minigpt.config import Config
from minigpt.messages import MiniGPTError
from minigpt.model.mixers.attention import CausalSelfAttention
from minigpt.model.mixers.memory import consolidation, short_term, sleep
from minigpt.model.mixers.memory.gate import Gate
from minigpt.model.mixers.memory.long_term import BUFFERS, LongTermMemory
from minigpt.model.mixers.memory.selection import SELECTIONS
from minigpt.model.mixers.memory.short_term import ShortTermState
from minigpt.model.norms import make_norm
from minigpt.model.roles import Role
from minigpt.model.state import KVCache


@dataclass
class MemoryState:
    """What one layer remembers of the tokens it has read. The long-term memory is not part of it."""

    attention: KVCache
    short: ShortTermState

    def reset(self, rows: Tensor) -> None:
        """Forget everything in these rows."""
        self.attention.reset(rows)
        self.short.reset(rows)


class Memory(nn.Module):
    """Attention's projection of norm(Σ gate · source) + residual_weight · present.

    Each source is (B, T, C): the present, the output of attention before its projection; the short term; the
    long term.
    """

    causal = True
    parameter_roles = {"log_tau": Role.TIME_CONSTANT}

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.attention = CausalSelfAttention(config)
        self.c_memory = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)  # query, key, value
        self.log_tau = nn.Parameter(torch.zeros(()))  # of the short-term memory, in tokens
        self.gate = Gate(config.n_embd, config.memory_gate, config.memory_temperature)
        self.long_term = LongTermMemory(config)
        self.dropout = config.memory_dropout
        self.select = SELECTIONS[config.memory_selection]
        self.norm = make_norm(config, config.n_embd) if config.memory_norm else nn.Identity()
        self.day = sleep.Day(config.sleep_steps * config.consolidation_writes, config.n_embd)
        self.staged: list[consolidation.Staged] = []
        self.seen: tuple[Tensor, Tensor] | None = None  # the gate at the last training step, and its choices
        self.short_term_tokens = 0.0  # mean tokens in the short-term memory then
        for name in self.frozen_by_design:
            self.get_parameter(name).requires_grad_(False)

    @property
    def frozen_by_design(self) -> list[str]:
        """The parameters that stop-gradient freezes: all that only leads to what is read."""
        if not self.config.use_stop_gradient:
            return []
        return [name for name, _ in self.named_parameters() if name.startswith(("c_memory.", "log_tau"))]

    def forward(self, x: Tensor, turns: Tensor | None = None, state: MemoryState | None = None) -> Tensor:
        """Return (B, T, C); `state` as in `minigpt.model.mixers`. Training proposes what to remember."""
        present = self.attention.mix(x, turns, None if state is None else state.attention)
        query, keys, values = self.c_memory(x).chunk(3, -1)  # each (B, T, C)
        short, weights, some = self._read_short_term(query, keys, values, state)
        long, slots = self.long_term(query)
        if self.config.use_stop_gradient:
            short, long = short.detach(), long.detach()
        short, long = (F.dropout(read, self.dropout, self.training) for read in (short, long))
        there = torch.stack(
            [torch.ones_like(some), some, torch.full_like(some, self.long_term.count > 0)], -1
        )  # (B, T, 3)
        gates = self.gate(x, there)
        of_present, of_short, of_long = gates[..., None].unbind(-2)  # each (B, T, 1)
        mixed = torch.addcmul(torch.addcmul(of_present * present, of_short, short), of_long, long)
        if self.training:
            self.stage(keys, values, weights, slots, (gates.detach(), there))
        return self.attention.c_proj(self.norm(mixed) + self.config.residual_weight * present)

    def stage(
        self, keys: Tensor, values: Tensor, weights: Tensor, slots: Tensor, seen: tuple[Tensor, Tensor]
    ) -> None:
        """Propose what to remember of a batch, and keep what `figures.py` measures."""
        keys, values = keys.detach().float(), values.detach().float()
        self.staged.append(consolidation.stage(keys, values, weights.detach(), slots.float()))
        self.seen, self.short_term_tokens = seen, self._short_term_tokens(keys.shape[1])

    def due(self, step: int) -> bool:
        """Return whether the long-term memory is written after `step`, other than by sleep."""
        return consolidation.due(self.config, step)

    def _read_short_term(
        self, query: Tensor, keys: Tensor, values: Tensor, state: MemoryState | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is read (B, T, C), the weights (B, T, K) and whether there was anything (B, T)."""
        size, T = self.config.short_term_size, query.shape[1]
        short = None if state is None else state.short
        age, allowed = short_term.readable(T, size, short, query.device)
        all_keys, all_values = keys, values
        if short is not None:
            all_keys, all_values = torch.cat([short.keys, keys], 1), torch.cat([short.values, values], 1)
            short.push(keys, values)
        weights = short_term.scores(query, all_keys, age, allowed, self.log_tau).softmax(-1)
        some = allowed.any(-1).expand(len(query), T)
        weights = self.select(weights) * some[..., None]  # what is not allowed has a weight of 0
        return weights @ all_values, weights, some

    def _short_term_tokens(self, length: int) -> float:
        """Return how many tokens the short-term memory holds on average over a document of `length`."""
        size = self.config.short_term_size
        return sum(min(t, size) for t in range(length)) / length

    def init_state(self, batch: int) -> MemoryState:
        """Return the state before the first token."""
        like = self.attention.c_proj.weight
        short = ShortTermState.empty(batch, self.config.short_term_size, like.shape[0], like)
        return MemoryState(self.attention.init_state(batch), short)

    @torch.no_grad()
    def commit_memory(self, step: int, gather: Callable[[Tensor], Tensor]) -> None:
        """Write what the forward passes of `step` have proposed; called once the step is taken.

        Args:
            gather: turns rows (n, …) of this process into those of all processes.
        """
        parts, self.staged = self.staged, []
        if not parts:
            return
        staged = consolidation.together(parts, gather)
        self.long_term.read_as_often(staged.slots, staged.tokens)
        self._consolidate(step, staged)

    def _consolidate(self, step: int, staged: consolidation.Staged) -> None:
        config, every = self.config, self.config.consolidation_every
        if config.consolidation != "sleep":
            if self.due(step):
                self.long_term.write(*consolidation.most_read(staged, config.consolidation_writes), step)
            return
        if not sleep.asleep(step, every, config.sleep_steps):
            self.day.keep(staged.keys, staged.values, staged.use)
            return
        keys, values = self.day.take(config.consolidation_writes)
        if len(keys):
            self.long_term.write(keys, values, step)
        if sleep.wakes(step, every):
            self.long_term.merge_duplicates()
            self.day.end()

    def memory_state(self) -> dict[str, Tensor]:
        """Return everything that lasts from step to step, and what has been proposed for none of it."""
        found = {name: getattr(self.long_term, name) for name in BUFFERS}
        found |= {name: torch.tensor(getattr(self.long_term, name)) for name in ("count", "writes")}
        found |= {f"day_{name}": getattr(self.day, name) for name in ("keys", "values", "use")}
        return found

    def load_memory_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `memory_state` returned; proposals of an unfinished step are forgotten.

        Raises:
            MiniGPTError: it is the state of a memory of another shape.
        """
        for name, own in self.memory_state().items():
            given = state.get(name)
            fits = given is not None and (given.shape == own.shape or name.startswith("day_"))
            if not fits:
                shape = "–" if given is None else tuple(given.shape)
                raise MiniGPTError("memory.other-shape", name=name, given=shape, wanted=tuple(own.shape))
        device, self.staged = self.log_tau.device, []
        for name in BUFFERS:
            setattr(self.long_term, name, state[name].to(device))
        self.long_term.count, self.long_term.writes = int(state["count"]), int(state["writes"])
        for name in ("keys", "values", "use"):
            setattr(self.day, name, state[f"day_{name}"].to(device))

    def _apply(self, move: Callable[[Tensor], Tensor], recurse: bool = True) -> Memory:
        """Move the memory along with the parameters."""
        super()._apply(move, recurse)
        self.load_memory_state({name: move(tensor) for name, tensor in self.memory_state().items()})
        return self

    @property
    def mixing_flops(self) -> int:
        """Operations for one token: attention, short-term scores and sums, the search and the slots read."""
        width, context = self.config.n_embd, self.config.context
        slots = self.config.long_term_size + 2 * self.config.memory_reads
        return self.attention.mixing_flops + 4 * width * context + 2 * width * slots + 6 * width

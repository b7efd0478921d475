"""What a run writes so that it can be resumed, and how it resumes: its folder, its checkpoints, `resume`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from minigpt.config import Config
from minigpt.messages import MiniGPTError
from minigpt.model.gpt import parameter_count
from minigpt.model.state import load_memory, memory_of
from minigpt.runs import checkpoint
from minigpt.runs.run import Run
from minigpt.runs.writer import RunWriter, describe_run
from minigpt.training.snapshots import IN_CHECKPOINT

if TYPE_CHECKING:
    from minigpt.training.trainer import Trainer

CHANGED_BY_A_RESUME = ("started", "versions", "git_sha", "hardware", "device", "processes", "argv")


def open_folder(trainer: Trainer, records: Mapping[str, int] | None) -> RunWriter:
    """Return the writer of a folder that says what run it holds, with no record of a step yet to come.

    Args:
        records: lines of each log at the checkpoint from which the run resumes.
    """
    writer = RunWriter(trainer.run_dir, trainer.resumed)
    description = describe_run(
        trainer.config,
        faults=list(trainer.recipe.faults),
        own_parts=trainer.recipe.own_parts,
        data={"name": trainer.data.name, "sha256": trainer.data.hashes},
        parameters=parameter_count(trainer.model),
        device=trainer.world.device,
        processes=trainer.world.size,
        starts_from=trainer.config.init_from,
        kernels=trainer.kernels._asdict(),
    )
    if trainer.plasticity:
        description["writes_beside_optimizer"] = trainer.plasticity.writes
    if trainer.resumed:
        again = {name: description[name] for name in CHANGED_BY_A_RESUME}
        description = Run(trainer.run_dir).manifest
        description["resumed"] = [*description.get("resumed", []), {"step": trainer.step} | again]
        writer.rewind(trainer.step, records)
    writer.manifest(description)
    writer.tokenizer(trainer.data.tokenizer)
    return writer


def write_checkpoint(trainer: Trainer) -> None:
    """Write model, optimizer, state, memory and snapshots, and delete the oldest checkpoint."""
    trainer.writer.sync()  # no checkpoint is ever ahead of the logs
    snapshots, tensors = trainer.snapshots.saved()
    tensors = {f"{IN_CHECKPOINT}{name}": tensor for name, tensor in tensors.items()}
    tensors |= {f"{checkpoint.MEMORY}{name}": tensor for name, tensor in memory_of(trainer.model).items()}
    state = trainer.state.state_dict() | {"records": dict(trainer.writer.records)}
    state |= {"snapshots": snapshots} if snapshots else {}
    folder, kept = trainer.run_dir / "checkpoints", trainer.config.keep_checkpoints
    checkpoint.save(folder, trainer.model, trainer.optimizer, state, kept, tensors)
    if trainer.state.attempt:
        checkpoint.discard_after(folder, trainer.step)


def load_newest(trainer: Trainer) -> tuple[dict[str, int] | None, list[checkpoint.CheckpointError]]:
    """Bring a trainer to the newest intact checkpoint of its folder; to step 0 if there is none yet.

    Returns:
        The lines of each log at that moment, and why newer checkpoints were passed over.

    Raises:
        MiniGPTError: the config or the text has changed, or none of the checkpoints is intact.
    """
    run = Run(trainer.run_dir)
    refuse_changes(run.config, trainer.config)
    if run.manifest["data"]["sha256"] != trainer.data.hashes:
        raise MiniGPTError("train.other-data", path=trainer.run_dir, name=trainer.data.name)
    folder = trainer.run_dir / "checkpoints"
    if not checkpoint.find(folder):
        return None, []  # the run ended before its first checkpoint: step 0 comes again, and is the same
    source, passed_over = checkpoint.latest(folder)
    state, tensors = checkpoint.load(source, trainer.model, trainer.optimizer)
    trainer.state.load_state_dict(state)
    load_memory(trainer.model, _under(checkpoint.MEMORY, tensors))
    trainer.snapshots.load(state.get("snapshots", []), _under(IN_CHECKPOINT, tensors))
    return state.get("records"), passed_over


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def refuse_changes(was: Config, asked: Config) -> None:
    """Refuse to resume a run under another config: the result would be neither the one run nor the other.

    Raises:
        MiniGPTError: names the first setting that differs.
    """
    for name, value in asked.to_dict().items():
        if value != getattr(was, name):
            raise MiniGPTError("train.resume-changes", name=name, asked=value, was=getattr(was, name))

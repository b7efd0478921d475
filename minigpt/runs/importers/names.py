"""What loggers call the columns that the check looks at, and which columns are something else.

NAMES["loss"]; plain("train/loss") == "train_loss"; refuse_units(path, {"step": "epoch"})
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from minigpt.messages import MiniGPTError
from minigpt.runs.importers.units import unit_of

NAMES = {  # what loggers call our columns, the surest first; everything but letters and digits is "_"
    "step": ("trainer_global_step", "train_global_step", "global_step", "step", "steps", "iter", "iteration")
    + ("iterations", "it", "iter_num", "num_updates", "train_num_updates", "valid_num_updates")
    + ("current_steps", "time_batch", "update", "updates", "global_steps", "completed_step", "step_i")
    + (
        "optimizer_step",
        "training_step",
        "train_step",
        "train_steps",
        "global_step_max_steps",
        "iteration_step",
    )
    + ("paso", "pasos", "iteracion")  # as loops in Spanish print it,
    + ("schritt", "schritte", "passo", "passos", "etape")  # in German, Portuguese, Italian, French
    + ("iters", "itr", "nb_steps", "n_iter", "step_num", "current_step", "global_iter", "batch", "batch_idx"),
    "loss": (
        "batch_loss",
        "loss",
        "train_loss",
        "training_loss",
        "loss_train",
        "train_loss_step",
        "train_loss_iter",
    )
    + ("lm_loss", "lm_loss_training_lm_loss", "reduced_train_loss")  # Megatron-LM, its DeepSpeed fork, NeMo
    + ("loss_metrics_global_avg_loss", "train_crossentropyloss", "train_ce_loss")  # torchtitan, OLMo
    + ("metrics_train_languagecrossentropy", "loss_train_total")  # Composer
    + ("step_loss", "loss_step", "trainloss", "tr_loss", "train_nll", "gpt_loss", "llm_loss")
    + ("ce_loss", "cross_entropy", "cross_entropy_loss", "crossentropy", "crossentropyloss", "xent", "nll")
    + ("nll_loss", "train_ce", "train_xent", "train_cross_entropy", "loss_ce", "loss_lm", "train_lm_loss")
    + ("avg_loss", "average_loss", "mean_loss", "loss_avg", "loss_mean", "running_loss", "smooth_loss")
    + ("train_loss_epoch", "train_avg_loss", "avg_train_loss", "average_train_loss", "epoch_loss")
    + ("train_epoch_loss", "average_training_loss", "mean_train_loss", "total_loss", "train_total_loss")
    + ("perdida", "perdida_de_entrenamiento", "perdida_entrenamiento", "costo")
    + ("verlust", "trainingsverlust", "perda", "perda_de_treino", "perte", "perte_d_entrainement")
    + ("cross_ent_loss_per_all_target_tokens", "loss_per_nonpadding_target_token")  # T5X, beside sums
    + ("loss_per_all_target_tokens", "loss_per_token", "loss_token")
    + ("actor_loss", "sft_loss", "cur_loss", "mini_batch_loss", "minibatch_loss", "tr", "trn", "train"),
    "grad_norm": ("grad_norm", "train_grad_norm", "gradient_norm", "gnorm", "grad_norm_total")
    + ("total_grad_norm", "optim_total_grad_norm", "global_grad_norm", "grad_norm_grad_norm")
    + (
        "l2_norm_grad_global",
        "gradnorm",
        "norm",
        "grad_norms",
        "grads_norm",
        "gradient_l2_norm",
        "grad_l2_norm",
    )
    + ("global_norm", "grad_global_norm", "gradient_global_norm", "total_norm", "grad_l2", "grad_total_norm")
    + ("norma", "norma_del_gradiente", "norma_gradiente")
    + ("train_gnorm", "gn", "gradnorm_total", "raw_grad_norm", "actor_grad_norm", "grad"),
    "lr": ("lr", "learning_rate", "train_lr", "train_learning_rate", "learning_rate_learning_rate")
    + ("learningrate", "lrate", "current_lr", "cur_lr", "l_r", "step_lr", "optim_lr", "last_lr", "actor_lr")
    + ("base_learning_rate",)
    + ("tasa_de_aprendizaje", "tasa_aprendizaje", "lernrate", "taxa_de_aprendizado"),
    "val_loss": ("val_loss", "eval_loss", "valid_loss", "validation_loss", "loss_val", "loss_eval")
    + ("lm_loss_validation", "lm_loss_validation_lm_loss_validation", "validation_metrics_loss")
    + ("metrics_eval_languagecrossentropy", "loss_valid", "loss_validation", "dev_loss", "vloss", "valloss")
    + (
        "avg_val_loss",
        "val_avg_loss",
        "average_val_loss",
        "eval_epoch_loss",
        "val_loss_epoch",
        "val_epoch_loss",
    )
    + ("eval_crossentropyloss", "eval_cross_entropy_loss", "eval_cross_entropy", "eval_ce_loss")  # Trax
    + ("val_ce", "val_nll", "val_xent", "valid_nll", "valid_nll_loss", "val_ce_loss", "val_cross_entropy")
    + ("eval_avg_loss", "eval_nll", "eval_ce", "average_validation_loss", "evaluation_loss", "held_out_loss")
    + ("perdida_de_validacion", "perdida_validacion", "perdida_val", "perdida_en_validacion")
    + ("validierungsverlust", "perda_de_validacao", "perte_de_validation")
    + ("va", "val", "valid", "validation"),
    "scale": ("loss_scale", "grad_scale", "amp_scale", "scaler_scale", "loss_scaling"),
    "stage": ("stage", "training_stage", "curriculum_stage", "task_id", "stufe", "etapa", "fase"),
}
BAR = "how far the progress bar had come"  # columns that the reader of printed lines adds
OF = "steps of which this is one"
SAME = "printed twice"
GROUP_RATE = re.compile(r"(optim_)?(lr|learning_rate)_(?!vs_).+")  # Megatron-LM repeats all “vs samples”
EPOCH = "epoch"
RUNS = {"run", "run_id", "run_hash", "run_uuid", "run_name"}
COUNTED = {"step", "steps", "iter", "iteration", "iterations", "update", "updates", "batch", "batches"}
OTHER_COUNTS = {
    "epoch",
    "epochs",
    "epoca",
    "epocas",
    "token",
    "tokens",
    "sample",
    "samples",
    "example",
    "examples",
    "sequences",
}
TIMES = {"time", "seconds", "timestamp", "hours"}
OTHER_LOSSES = {"ppl", "perplexity", "bpb", "bpc", "bits"}


class ExternalLogError(MiniGPTError):
    """A log that cannot be read, or has not what it needs."""

    def __str__(self) -> str:
        # what a damaged log holds must not break the line or steer the terminal
        return "".join(character if character.isprintable() else "\ufffd" for character in super().__str__())


def plain(name: str) -> str:
    """Return the name in small letters without accents, everything but letters and digits as "_"."""
    if not name.isascii():
        name = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def same(column: str, given: str) -> bool:
    """Return whether a column is the one that was named."""
    return column == given or column == given.replace("/", ".")  # as the W&B reader writes it


def exported(column: str) -> tuple[str, str] | None:
    """Return the run and the metric of a column as W&B exports it, “run - train/loss”; None for any other.

    Its columns for the least and the greatest value of each point are none of ours.
    """
    run, dash, metric = column.rpartition(" - ")
    return (run, metric) if dash and run and not metric.endswith(("__MIN", "__MAX")) else None


def counts_steps(column: str, asked: Mapping[str, str]) -> bool:
    """Return whether a column counts the steps."""
    return same(column, asked["step"]) if "step" in asked else plain(column) in NAMES["step"]


def matters(column: str, asked: Mapping[str, str]) -> bool:
    """Return whether the check looks at a column."""
    called = plain(column)
    names = any(called in known for known in NAMES.values()) or unit_of(called) is not None
    return names or any(same(column, given) for given in asked.values())


def counts_something_else(column: str) -> bool:
    """Return whether a column counts epochs, tokens, samples or time by its name."""
    words = set(plain(column).split("_"))
    return bool(words & (OTHER_COUNTS | TIMES)) and not words & COUNTED


def refuse_units(path: Path, asked: Mapping[str, str]) -> None:
    """Refuse a mapping to columns that are by their name no steps, or no loss in nats per token.

    Raises:
        ExternalLogError: one of them is.
    """
    if counts_something_else(asked.get("step", "")):
        raise ExternalLogError("external.not-steps", path=path, column=asked["step"])
    for name in ("loss", "val_loss"):
        if set(plain(asked.get(name, "")).split("_")) & OTHER_LOSSES:
            raise ExternalLogError("external.not-nats", path=path, column=asked[name])

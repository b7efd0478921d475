"""Section 1, what the loss takes: logits and not probabilities, and the targets that are worth asking for."""

from __future__ import annotations

from minigpt.diagnosis.tree import Finding, Question
from minigpt.diagnosis.trees.configuration.observed import MIXING_CHANGE, mixing_limit, observed
from minigpt.runs.evidence import Evidence

SOFTENED = ("probabilities", "squashed")  # as the monitor writes it
UNSOFTENED = "raw"
IN_DISORDER = "scrambled"
CUT = "clipped"
FULL = (128, 256, 32_768, 65_536)  # numbers that integers of one and two bytes hold, with a sign and without


def _takes_logits(question: Question, evidence: Evidence) -> Finding:
    given = evidence.start.loss_given
    if given is None:
        return question.not_measured()
    if given in SOFTENED:
        return question.failed("double-softmax", given=given)
    if given == IN_DISORDER:
        return question.failed("shuffled-targets", given=given)
    if given == UNSOFTENED:
        return question.failed("missing-log-softmax", given=given)
    if given == CUT:
        return question.failed("activation-on-logits", given=given)
    return question.passed(given=given)


def _says_what_is_right(question: Question, evidence: Evidence) -> Finding:
    spread, limits = evidence.start.target_spread, question.thresholds
    if spread is None:
        return question.not_measured()
    values = {"spread": max(spread, 0.0)}
    if spread > limits["spread"]:
        return question.failed("smoothing-too-strong", **values)
    return question.warned(**values) if spread > limits["odd"] else question.passed(**values)


def _targets_of_the_right_kind(question: Question, evidence: Evidence) -> Finding:
    kinds, limits = observed(evidence, "kinds"), question.thresholds
    if not kinds:
        return question.not_measured()
    values = {
        "padding": kinds["padding"],
        "share": kinds["padding_share"],
        "hidden": kinds.get("hidden_word"),
        "count": kinds.get("hidden_count", 0),
        "turned": kinds.get("turned", 0.0),
        "unlearnt": kinds.get("unlearnt_share", 0.0),
        "covered": kinds.get("covered", 0.0),
        "visible": kinds.get("visible", 0.0),
        "empty": kinds.get("empty_rows", 0.0),
    }
    if values["share"] > limits["padding"]:
        return question.failed("targets-kind", **values, kind="padding")
    if values["hidden"] is not None:
        return question.failed("targets-kind", **values, kind="hidden")
    if values["turned"] > limits["turned"]:
        return question.failed("targets-kind", **values, kind="turned")
    if values["covered"] > limits["covered"] and evidence.start.future_gradient == 0:
        return question.failed("targets-kind", **values, kind="covered")
    if values["visible"] > limits["visible"]:
        return question.failed("targets-kind", **values, kind="visible")
    if values["unlearnt"] > limits["unlearnt"]:
        return question.failed("targets-kind", **values, kind="unlearnt")
    if end := kinds.get("end_hidden"):
        sure = end == "own" or kinds.get("end_is_padding")
        values["kind"] = "end"
        return question.failed("targets-kind", **values) if sure else question.warned(**values)
    if values["empty"] > limits["empty"]:
        return question.unknown(**values, kind="empty")
    if values["share"] > limits["odd"]:
        return question.warned(**values, kind="padding")
    return question.passed(**values, kind="–")


def _ids_whole(question: Question, evidence: Evidence) -> Finding:
    """Ask whether ids stop where an integer of one or two bytes does, and the vocabulary goes on.

    Text in bytes uses fewer than nine in ten of them, and ids that wrapped round use nearly all.
    """
    spread, limits = observed(evidence, "vocabulary"), question.thresholds
    if not spread:
        return question.not_measured()
    values = {name: spread[name] for name in ("seen", "highest", "vocab_size")}
    for numbers in FULL:
        inside = limits["came"] * numbers <= spread["seen"] and spread["highest"] < numbers
        if inside and spread["vocab_size"] >= limits["beyond"] * numbers:
            return question.failed("ids-wrapped", **values)
    kinds = observed(evidence, "kinds") or {}
    share = kinds.get("commonest_share", 0.0)
    if kinds.get("commonest") == values["vocab_size"] - 1 and share > limits["last"]:
        return question.unknown(**values, share=share, kind="last")
    return question.passed(**values)


def _rows_by_themselves(question: Question, evidence: Evidence) -> Finding:
    later = observed(evidence, "later") or {}
    change = later.get("mixing")
    if later.get("learning_leak") and later.get("future_gradient") == 0:  # by batch normalisation
        values = {"change": None, "limit": 0.0, "step": later["learning_leak_step"]}
        return question.failed("batch-mixing", **values, kind="normalised")
    if change is None:
        return question.not_measured()
    limit = mixing_limit(later)
    values = {"change": change, "limit": limit, "step": later.get("mixing_step", 0)}
    return question.failed("batch-mixing", **values) if change > limit else question.passed(**values)


def _each_has_a_target(question: Question, evidence: Evidence) -> Finding:
    scores = observed(evidence, "scores")
    if not scores:
        return question.not_measured()
    values = {name: scores[name] for name in ("batches", "shared", "apart")}
    if values["shared"] > question.thresholds["shared"]:
        return question.failed("broadcast-loss", **values)
    return question.passed(**values)


SCORED_QUESTIONS = (
    Question(
        "1.7",
        {},
        ("double-softmax", "missing-log-softmax", "shuffled-targets", "activation-on-logits"),
        _takes_logits,
    ),
    # of what targets ask for, the share that is spread over all tokens; usual are 0 to 0.2
    Question("1.7b", {"odd": 0.3, "spread": 0.4}, ("smoothing-too-strong",), _says_what_is_right),
    # shares of the scored targets that are padding after padding, twice; of the rows whose last target is
    # their own first token; of the targets that are a word which the table of tokens takes for padding; of
    # those that the past alone must tell, with a mask in their place; that stand in the input, beside masks;
    # and the share of the rows of text that have no target
    Question(
        "1.8",
        {
            "padding": 0.1,
            "odd": 0.02,
            "turned": 0.9,
            "unlearnt": 0.02,
            "covered": 0.7,
            "visible": 0.4,
            "empty": 0.03,
        },
        ("targets-kind",),
        _targets_of_the_right_kind,
    ),
    # of the numbers that fit into one or two bytes, those that came; of the vocabulary; of all targets
    Question("1.8b", {"came": 0.9, "beyond": 2.0, "last": 0.3}, ("ids-wrapped",), _ids_whole),
    Question("1.9", {"change": MIXING_CHANGE}, ("batch-mixing",), _rows_by_themselves),
    # of the batches, those in which all scores are drawn to one number
    Question("1.9b", {"shared": 0.9}, ("broadcast-loss",), _each_has_a_target),
)

"""The rehearsal of accumulation, whatever the batch's own mask counts."""

import dataclasses
import json

import pytest
import torch

from minigpt.config import Config
from minigpt.diagnosis import Verdict, check
from minigpt.diagnosis.report import as_data
from minigpt.messages import LANGUAGES
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train

CONFIG = Config(
    n_layer=1, n_head=2, n_embd=16, context=16, batch_size=4, steps=2, warmup_steps=1, eval_batches=1
)
LENGTHS = {  # of each row, how many targets count from its start
    "whole": [16, 16, 16, 16],
    "a short prefix": [3, 3, 3, 3],
    "one each": [1, 1, 1, 1],
    "ragged": [5, 16, 2, 9],
    "the first half poorer, already a quarter": [1, 1, 4, 4],
    "empty rows": [7, 0, 0, 7],
    "three rows": [16, 16, 16],
    "few and many": [1, 16],
}


def masked(lengths, fault=None):
    """Return a recipe whose batches count the first `lengths` targets of their rows."""
    recipe = Recipe(CONFIG.replace(batch_size=len(lengths)))
    mask = torch.arange(CONFIG.context) < torch.tensor(lengths)[:, None]

    def get_batch(*arguments):
        return recipe.get_batch(*arguments)._replace(mask=mask)

    padded = dataclasses.replace(recipe, get_batch=get_batch)
    return padded.with_fault(fault) if fault else padded


def accumulation(found):
    """Return the answer to question 6.3."""
    return next(finding for finding in found.findings if finding.question == "6.3")


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("fault", [None, "accumulation-token-weighting", "accumulation-sum"])
def test_masks_of_every_shape_tell_right_accumulation_from_wrong(fault, lengths, tmp_path):
    train(masked(lengths, fault), tmp_path / "run")
    answer = accumulation(check(tmp_path / "run", whole=True))
    assert (answer.leaf, answer.verdict) == (fault, Verdict.FAIL if fault else Verdict.PASS)


def test_halves_that_cannot_differ_are_not_said_to_have_passed(tmp_path):
    train(masked([1, 1], "accumulation-token-weighting"), tmp_path / "run")
    found = check(tmp_path / "run", whole=True)
    answer = accumulation(found)
    assert answer.verdict is Verdict.NOT_MEASURED
    assert answer.values == {"equal": pytest.approx(1, abs=1e-4), "unequal": None}
    for language, said in zip(
        LANGUAGES, ("(not measured) with unequal", "(sin medir) con máscaras desig"), strict=True
    ):
        data = as_data(found, language)
        (line,) = [finding["seen"] for finding in data["findings"] if finding["question"] == "6.3"]
        assert said in line
        json.dumps(data, allow_nan=False)


def test_a_sum_is_named_where_only_equal_masks_were_possible(tmp_path):
    train(masked([1, 1], "accumulation-sum"), tmp_path / "run")
    assert accumulation(check(tmp_path / "run", whole=True)).leaf == "accumulation-sum"


@pytest.mark.parametrize("lengths", [[16], [0, 0, 0, 0], [0, 9, 0, 0]], ids=str)
def test_what_cannot_be_halved_is_not_measured(lengths, tmp_path):
    train(masked(lengths), tmp_path / "run")
    answer = accumulation(check(tmp_path / "run", whole=True))
    assert (answer.verdict, answer.values) == (Verdict.NOT_MEASURED, {})

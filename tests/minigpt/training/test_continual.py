"""Several tasks in sequence: batches, replay, elastic weight consolidation, and a run that is interrupted."""

from __future__ import annotations

import json

import pytest
import torch

import minigpt.faults  # noqa: F401  which a recipe finds its faults in
from minigpt.config import Config, ConfigError
from minigpt.data.batches import get_batch
from minigpt.data.dataset import load_data
from minigpt.data.tasks import Task
from minigpt.messages import LANGUAGES, use_language
from minigpt.model.gpt import GPT, init_weights
from minigpt.training.continual import (
    Consolidation,
    TaskBatches,
    fisher,
    is_last_of_task,
    spread_rows,
    task_at,
)
from minigpt.training.loss import cross_entropy
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import Trainer, resume, train

TINY = {
    **dict(
        vocab_size=300, n_layer=1, n_head=2, n_embd=16, context=16, batch_size=4, steps=12, warmup_steps=2
    ),
    **dict(eval_every=4, eval_batches=1, checkpoint_every=4, device="cpu", kernels="mkl"),
}


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    for name, words in (("first", "uno dos tres"), ("second", "x = y + z"), ("third", "one two three")):
        lines = "\n".join(f"{words} {n}" for n in range(200))
        (folder / f"{name}.txt").write_text(lines, encoding="utf-8")
    return ",".join(str(folder / f"{name}.txt") for name in ("first", "second", "third"))


def tasks_of(*spans: tuple[int, int]) -> tuple[Task, ...]:
    """Tasks whose tokens tell which task they are from."""
    return tuple(Task(f"t{a}", torch.arange(a, b), torch.arange(a, b)) for a, b in spans)


def test_tasks_share_the_steps_evenly():
    config = Config(tasks="a,b,c", steps=10, warmup_steps=1)
    assert [task_at(step, config) for step in range(10)] == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [step for step in range(11) if is_last_of_task(step, config)] == [4, 7, 10]
    assert task_at(25, config) == 2  # a guard that leaves out batches makes the data go on longer


def test_a_batch_is_of_its_task_and_a_share_of_earlier_ones():
    config = Config(tasks="a,b,c", replay=0.25, batch_size=8, context=16, steps=9, warmup_steps=1)
    batches = TaskBatches(tasks_of((0, 100), (100, 200), (200, 300)), config)
    first, last = batches.batch(get_batch, 0), batches.batch(get_batch, 8)
    assert (first.inputs < 100).all() and first.inputs.shape == (8, 16)
    assert (last.inputs[:6] >= 200).all() and (last.inputs[6:] < 200).all()
    assert torch.equal(last.inputs, batches.batch(get_batch, 8).inputs)
    alone = [batches.batch(get_batch, 8, rank=rank, world_size=2).inputs for rank in (0, 1)]
    assert sorted(torch.cat(alone)[:, 0].tolist()) == sorted(last.inputs[:, 0].tolist())


def small_model() -> GPT:
    config = Config(n_layer=1, n_head=1, n_embd=8, context=8, init_std=0.2)
    torch.manual_seed(0)
    model = GPT(config)
    init_weights(model, config)
    return model.double()


def test_the_fisher_information_is_the_mean_square_of_finite_differences():
    model, rows = small_model(), spread_rows(torch.arange(400) % 97, 3, 8)
    found = fisher(model, cross_entropy, rows)
    weight, eps = model.h[0].attn.c_attn.weight, 1e-5

    @torch.no_grad()
    def losses(at: tuple[int, int], shift: float) -> torch.Tensor:
        weight[at] += shift
        values = [cross_entropy(model(row.inputs), row.targets, row.mask) for row in rows]
        weight[at] -= shift
        return torch.stack(values)

    for at in ((0, 0), (9, 3), (20, 7)):
        slope = (losses(at, eps) - losses(at, -eps)) / (2 * eps)
        expected = slope.square().mean().item()
        assert found["h.0.attn.c_attn.weight"][at].item() == pytest.approx(expected, rel=1e-3, abs=1e-12)


def test_consolidation_adds_the_gradient_of_its_penalty():
    model, kept = small_model(), Consolidation()
    anchors = []
    for _ in range(2):  # two tasks
        information = {name: torch.rand_like(p) for name, p in model.named_parameters()}
        kept.anchor(model, information)
        anchors.append((information, {name: p.detach().clone() for name, p in model.named_parameters()}))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += torch.randn_like(parameter)
    penalty = sum(
        (information[name] * (parameter - there[name]).square()).sum() / 2
        for information, there in anchors
        for name, parameter in model.named_parameters()
    )
    expected = torch.autograd.grad(3.0 * penalty, list(model.parameters()))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    kept.add_gradients(model, strength=3.0)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize("settings", [{"replay": 0.25}, {"ewc": 100.0, "ewc_rows": 2}], ids=str)
def test_an_interrupted_run_ends_as_the_uninterrupted_one(settings, texts, tmp_path):
    recipe = Recipe(Config(**TINY, tasks=texts, **settings))
    whole = train(recipe, tmp_path / "whole")
    trainer = Trainer(recipe, tmp_path / "cut", resumed_after(8))
    with pytest.raises(Killed):
        trainer.run()
    resumed = resume(tmp_path / "cut").run()
    for name in ("loss", "grad_norm"):
        assert whole.column(name)[1].tolist() == resumed.column(name)[1].tolist()
    assert [r["tasks"] for r in whole.metrics if "tasks" in r] == [
        r["tasks"] for r in resumed.metrics if "tasks" in r
    ]


class Killed(Exception):
    """The process ended."""


def resumed_after(steps: int) -> list[object]:
    class Kill:
        def on_step(self, trainer, record):
            if record["step"] == steps:
                raise Killed

    return [Kill()]


def test_every_task_is_evaluated_where_one_ends(texts, tmp_path):
    run = train(Recipe(Config(**TINY | {"eval_every": 0}, tasks=texts)), tmp_path / "run")
    looks = {record["step"]: record for record in run.metrics if "tasks" in record}
    assert list(looks) == [3, 7, 11]
    names = texts.split(",")
    assert all(list(record["tasks"]) == names for record in looks.values())
    assert [record["val_loss"] for record in looks.values()] == [
        looks[step]["tasks"][name] for step, name in zip((3, 7, 11), names, strict=True)
    ]


def test_the_tasks_with_names_are_read():
    data = load_data(Config(tasks="conjugations,python"))
    assert [task.name for task in data.tasks] == ["conjugations", "python"]
    assert "import torch" in data.tokenizer.decode(data.tasks[1].train[:200_000].tolist())
    assert len(data.train) == sum(len(task.train) for task in data.tasks)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"replay": 0.25}, "replay"),
        ({"tasks": "conjugations", "ewc": 100.0}, "ewc"),
        ({"tasks": "python,python"}, "python"),
        ({"tasks": ", ,"}, "tasks = "),
        ({"tasks": "conjugations,python", "text": "book.txt"}, "book.txt"),
        ({"tasks": "a,b,c", "steps": 2}, "steps = 2"),
        ({"tasks": "conjugations,python", "replay": 0.01, "batch_size": 8}, "replay = 0.01"),
    ],
    ids=json.dumps,
)
def test_a_contradiction_is_refused_in_one_sentence(settings, named, language):
    use_language(language)
    with pytest.raises(ConfigError) as caught:
        Config(**settings)
    assert named in str(caught.value) and "\n" not in str(caught.value)


def test_rows_for_a_consolidation_that_nobody_asked_for_are_refused():
    with pytest.raises(ConfigError, match="ewc_rows = 4"):
        Config(tasks="conjugations,python", ewc_rows=4).refuse_idle()
    protected = Config(tasks="conjugations,python", ewc_rows=4, ewc=1.0)
    protected.refuse_idle()
    Recipe(protected).with_fault("forgetting").refuse_idle()  # which takes both away


def test_a_task_that_is_no_file_is_refused(command, tmp_path):
    answer = command("train", "--tasks", "conjugations,pyhton", "--run-dir", tmp_path / "run")
    assert "pyhton" in answer.sentence and "--tasks" in answer.sentence and "--text" not in answer.sentence

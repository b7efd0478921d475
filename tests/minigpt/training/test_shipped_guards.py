"""The guards that a config switches on: what they undo is gone, and what is ordinary they leave alone."""

import dataclasses
import json
import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from small_runs import MINIMAL

from minigpt.config import Config, ConfigError
from minigpt.data.batches import Batch, get_batch
from minigpt.model.gpt import build_model
from minigpt.runs import checkpoint
from minigpt.runs.jsonl import read_jsonl
from minigpt.training.distributed import World
from minigpt.training.guards import GuardError
from minigpt.training.guards.clipping import CLIPPERS
from minigpt.training.guards.detector import Usual, median_distance
from minigpt.training.guards.spikes import PATIENCE, STEEP, Spikes
from minigpt.training.guards.token_cost import TokenCost
from minigpt.training.precision import full_precision
from minigpt.training.recipe import Recipe
from minigpt.training.schedule import lr_at
from minigpt.training.state import TrainerState
from minigpt.training.trainer import train

PLAIN = MINIMAL.replace(steps=60, eval_every=0, checkpoint_every=0, lr_max=3e-3, lr_min=1e-3)
BAD = (45, 46, 47)  # data steps whose targets are noise
AT = 41  # the step of a burst, or of a value that is not finite


def weights(run):
    return load_file(checkpoint.find(run.path / "checkpoints")[-1] / "weights.safetensors")


def same(one, other):
    return all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())


def events(run):
    return read_jsonl(run.path / "events.jsonl")


def rotten(tokens, config, step, *place):
    """Batches of which three have a target that never comes: a control character."""
    batch = get_batch(tokens, config, step, *place)
    return batch._replace(targets=torch.full_like(batch.targets, 1)) if step in BAD else batch


def without_the_rotten(tokens, config, step, *place):
    return get_batch(tokens, config, step + len(BAD) if step >= BAD[0] else step, *place)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return train(Recipe(PLAIN), tmp_path_factory.mktemp("plain") / "run")


ALL = {"guard_finite": True, "guard_spikes": True, "guard_rate": True}


def test_idle_guards_leave_a_run_bit_for_bit_as_it_was(tmp_path, undisturbed):
    guarded = train(Recipe(PLAIN.replace(**ALL)), tmp_path / "run")
    assert same(guarded, undisturbed) and events(guarded) == []


def test_a_run_that_drops_bad_batches_is_the_run_that_never_saw_them(tmp_path):
    recipe = Recipe(PLAIN.replace(guard_spikes=True))
    guarded = train(dataclasses.replace(recipe, get_batch=rotten), tmp_path / "guarded")
    clean = train(dataclasses.replace(Recipe(PLAIN), get_batch=without_the_rotten), tmp_path / "clean")
    assert [event["batches"] for event in events(guarded)] == [[step] for step in BAD]
    assert {event["done"] for event in events(guarded)} == {"drop the step"}
    assert same(guarded, clean)
    (incident,) = json.loads((guarded.path / "post-mortem.json").read_text(encoding="utf-8"))
    assert incident["onset"] == BAD[0] and list(incident["batches"]) == [str(step) for step in BAD]
    assert incident["loss"]["peak"] > 1.3 * incident["loss"]["usual"] and incident["modules"]
    told = (guarded.path / "post-mortem.md").read_text(encoding="utf-8")
    assert "spikes" in told and incident["batches"]["45"][0].splitlines()[0] in told
    assert not (clean.path / "post-mortem.json").exists()


@pytest.mark.parametrize("micro", [0, 1, 2])
def test_one_bad_micro_batch_drops_the_whole_window(tmp_path, micro):
    config = PLAIN.replace(steps=12, accumulation=3, guard_finite=True)

    def poisoned(model, loss, batches, *rest):
        nonlocal step
        step += len(batches) == 3  # the rehearsal takes fewer

        def loss_with_nan(logits, targets, mask):
            nonlocal calls
            calls += 1
            return loss(logits, targets, mask) * (math.nan if step == 6 and calls - 1 == micro else 1.0)

        calls = 0
        return Recipe().accumulate(model, loss_with_nan, batches, *rest)

    step = 0
    guarded = train(dataclasses.replace(Recipe(config), accumulate=poisoned), tmp_path / "guarded")

    def without_one(tokens, config, data_step, *place):
        return get_batch(tokens, config, data_step + (data_step >= event["batches"][0]), *place)

    (event,) = events(guarded)
    clean = Recipe(config.replace(guard_finite=False))
    assert same(guarded, train(dataclasses.replace(clean, get_batch=without_one), tmp_path / "clean"))


def test_a_loss_that_is_never_finite_stops_the_run_with_a_sentence(tmp_path):
    def nothing_but_nan(logits, targets, mask):
        return logits.sum() * math.nan

    recipe = dataclasses.replace(Recipe(PLAIN.replace(guard_finite=True)), loss=nothing_but_nan)
    with pytest.raises(GuardError, match="in a row"):
        train(recipe, tmp_path / "run")


def test_a_burst_of_the_rate_is_held_down(tmp_path, undisturbed):
    def bursting(step, config):
        return 0.3 if AT <= step < AT + 5 else lr_at(step, config)

    recipe = dataclasses.replace(Recipe(PLAIN.replace(guard_rate=True)), lr_at=bursting)
    held = train(recipe, tmp_path / "held")
    assert [event["step"] for event in events(held)] == list(range(AT, AT + 5))
    assert max(record["lr"]["decay"] for record in held.metrics[AT:]) < PLAIN.lr_max
    assert held.metrics[-1]["loss"] == pytest.approx(undisturbed.metrics[-1]["loss"], rel=0.02)


def test_damaged_weights_are_rolled_back(tmp_path, undisturbed):
    def damaging(optimizer, precision, lr):
        nonlocal steps
        steps += 1
        Recipe().step(optimizer, precision, lr)
        if steps == AT:
            with torch.no_grad():
                for group in optimizer.param_groups:
                    for parameter in group["params"]:
                        parameter.mul_(8.0)

    steps = 0
    recipe = dataclasses.replace(Recipe(PLAIN.replace(guard_spikes=True)), step=damaging)
    recovered = train(recipe, tmp_path / "run")
    assert [event["done"] for event in events(recovered)].count("roll back and skip") == 1
    assert recovered.metrics[-1]["loss"] == pytest.approx(undisturbed.metrics[-1]["loss"], rel=0.2)


def test_what_was_usual_needs_enough_values_and_is_one_sided():
    usual = Usual(window=8, enough=4)
    assert usual.distance(1e9) is None
    for value in (2.0, 2.0, 2.1, 1.9, 2.0):
        usual.add(value)
    assert usual.distance(0.0) < 0 < 6 < usual.distance(4.0)
    again = Usual(window=8, enough=4)
    again.load_state_dict(usual.state_dict())
    assert again.distance(3.0) == usual.distance(3.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.floats(-1e6, 1e6))
def test_the_median_distance_is_the_median_of_the_distances(values, middle):
    assert median_distance(sorted(values), middle) == statistics.median([abs(v - middle) for v in values])


@pytest.mark.parametrize("name", CLIPPERS)
def test_a_clipper_bounds_an_outlier_and_remembers_what_it_learnt(name):
    torch.manual_seed(0)
    model = build_model(MINIMAL)
    precision = full_precision("cpu")
    optimizer = torch.optim.SGD(model.parameters())
    clipper = CLIPPERS[name]()

    def norm_after(size):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, size / math.sqrt(parameter.numel()))
        before = clipper(model, optimizer, precision, 10.0)
        return before, torch.nn.utils.get_total_norm([p.grad for p in model.parameters()]).item()

    for step in range(150):
        norm_after(0.3 + 0.02 * (step % 5))
    before, after = norm_after(30.0)
    ordinary = norm_after(0.3)[0]
    assert before == pytest.approx(100 * ordinary, rel=1e-3) and after < 10 * ordinary
    assert after <= 10.0 + 1e-4
    again = CLIPPERS[name]()
    again.load_state_dict(clipper.state_dict())
    assert vars(again) == vars(clipper)


def test_settings_of_a_guard_that_is_off_are_refused():
    for change in ({"spike_z": 4.0}, {"rate_jump": 5.0}, {"rollbacks": 1}):
        with pytest.raises(ConfigError):
            Recipe(Config(**change)).refuse_idle()
    Recipe(Config(guard_spikes=True, spike_z=4.0)).refuse_idle()


class AtLevelTwo:
    """A spike guard fed by hand, at a loss of about 2 and a norm of about 1."""

    def __init__(self, steps=60, **settings):
        self.guard, self.state = Spikes(**settings), TrainerState()
        for step in range(steps):
            self.see(2.0 + 0.02 * (step % 5), 1.0 + 0.02 * (step % 3))

    def see(self, loss, norm=1.0, **more):
        decision = self.guard.decide({"loss": loss, "grad_norm": norm, **more}, self.state)
        if decision is None or not decision.undoes:
            self.state.advance()
        return decision


def test_the_gradient_norm_alone_calls_no_spike_unless_it_is_asked_to():
    assert AtLevelTwo().see(2.0, norm=50.0) is None
    assert AtLevelTwo(on="loss_or_norm").see(2.0, norm=50.0).drop
    assert AtLevelTwo().see(9.0).drop


def test_where_the_gradient_leaps_and_the_loss_follows_clipped_updates_go_ahead_a_few_times():
    run = AtLevelTwo()
    steep = {"loss": 2.5, "norm": 50.0, "clipped": True}
    assert run.guard.usual["loss"].distance(2.5) > run.guard.z
    assert [run.see(**steep) for _ in range(STEEP)] == [None] * STEEP
    assert run.see(**steep).drop
    healed = AtLevelTwo()
    for _ in range(STEEP):
        assert healed.see(**steep) is None
        assert healed.see(2.0) is None  # and the count begins again
    assert not healed.guard.usual["grad_norm"].level > 1.1  # the leaps are not taken for ordinary


def test_a_leap_of_the_gradient_excuses_no_bad_batch():
    assert AtLevelTwo().see(9.0, norm=1.5, clipped=True).drop  # the loss stands out more
    assert AtLevelTwo().see(2.5, norm=50.0).drop  # nobody clips
    assert AtLevelTwo(on="loss_or_norm").see(2.5, norm=50.0, clipped=True).drop
    run = AtLevelTwo()
    assert run.see(9.0).drop and run.see(2.5, norm=50.0, clipped=True).drop  # one was left out just before


def test_a_resumed_guard_knows_how_many_steep_updates_went_ahead():
    run, resumed = AtLevelTwo(), AtLevelTwo()
    for _ in range(STEEP):
        run.see(2.5, norm=50.0, clipped=True)
    resumed.guard.load_state_dict(run.guard.state_dict())
    assert resumed.see(2.5, norm=50.0, clipped=True).drop


def test_a_doubtful_batch_before_a_spike_is_taken_back_with_it():
    run = AtLevelTwo()
    usual = run.guard.usual["loss"]
    doubtful = next(2.0 + x / 1000 for x in range(2000) if usual.distance(2.0 + x / 1000) > 4.0)
    assert run.see(doubtful) is None
    assert run.see(9.0).drop
    decision = run.see(9.0)
    assert (decision.roll_back_to, decision.skip) == (60, (60, 61))
    calm = AtLevelTwo()
    calm.see(doubtful)
    calm.see(2.0)
    assert calm.see(9.0).drop


def test_a_doubtful_batch_behind_one_that_was_left_out_is_left_out():
    run = AtLevelTwo()
    usual = run.guard.usual["loss"]
    doubtful = next(2.0 + x / 1000 for x in range(2000) if usual.distance(2.0 + x / 1000) > 4.0)
    assert run.see(9.0).drop and run.see(doubtful).drop
    assert run.see(2.0) is None and run.see(doubtful) is None  # behind an ordinary one it goes ahead
    rolled_back = AtLevelTwo()
    rolled_back.state.rollbacks, rolled_back.state.skips = 1, [rolled_back.state.data_step - 1]
    assert rolled_back.see(doubtful).drop


def surplus_guard(cost_known=True):
    """A guard that has seen losses of 5 which vary with the rarity of their tokens, and how to ask it."""
    guard, state = Spikes(), TrainerState()

    def see(loss, cost):
        record = {"loss": loss, "grad_norm": 1.0} | ({"token_cost": cost} if cost_known else {})
        decision = guard.decide(record, state)
        if decision is None or not decision.undoes:
            state.advance()
        return decision

    for step in range(60):
        rarity = 0.3 * math.sin(1.7 * step)
        assert see(5.0 + rarity + 0.01 * (step % 3), 5.4 + rarity) is None
    return see, guard


def test_a_loss_that_the_tokens_do_not_explain_is_a_spike():
    see, _ = surplus_guard()
    assert see(5.4, 5.8) is None  # rare tokens
    decision = see(5.4, 5.4)
    assert decision.drop and decision.seen["loss"]["seen"] == 5.4
    assert decision.seen["z"]["surplus"] > 6 and "loss" not in decision.seen["z"]
    assert surplus_guard(cost_known=False)[0](5.4, 5.4) is None
    see, _ = surplus_guard()
    assert see(11.0, 12.0).drop  # tokens that hardly ever occur: no surplus, and a spike of the loss


def test_a_guard_s_state_from_before_the_surplus_is_understood():
    see, guard = surplus_guard()
    old = guard.state_dict()
    del old["usual"]["surplus"]
    again = Spikes()
    again.load_state_dict(old)
    record = {"loss": 5.0, "grad_norm": 1.0, "token_cost": 5.4}
    assert again.decide(record, TrainerState()) is None
    assert again.decide(record | {"loss": 9.0}, TrainerState()).drop


def test_what_single_tokens_cost_is_their_mean_information():
    tokens = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1])
    cost = TokenCost(tokens, vocab_size=3)
    targets = torch.tensor([[0, 1], [2, 1]])
    mask = torch.tensor([[True, True], [False, True]])
    whole = Batch(targets, targets, mask)
    seen = [6 / 9, 2 / 9, 2 / 9]  # the third token, which never occurs, counts as one that occurs once
    assert cost.of([whole], World()) == pytest.approx(-sum(map(math.log, seen)) / 3)
    rows = [Batch(*(part[row : row + 1] for part in whole)) for row in range(2)]
    assert cost.of(rows, World()) == pytest.approx(cost.of([whole], World()))
    assert TokenCost.wanted_by([Spikes()], tokens, 3) and not TokenCost.wanted_by([], tokens, 3)


def test_weights_that_an_update_heals_are_not_rolled_back():
    run = AtLevelTwo()
    dropped = [run.see(9.0) for _ in range(PATIENCE)]
    assert all(decision.drop for decision in dropped)
    assert run.see(9.0).note and run.state.step == 61
    assert run.see(2.0) is None
    again = AtLevelTwo()
    for _ in range(PATIENCE + 1):
        again.see(9.0)
    assert again.see(9.0).roll_back_to == 51


def test_a_spike_in_the_first_steps_is_noted_and_undoes_nothing(tmp_path):
    early = AtLevelTwo(steps=15)
    note = early.see(9.0)
    assert note.done == "continue" and note.seen["steps_needed"] == 32 and early.state.step == 16

    class Watching:
        """The loss that the guard is told at step 18, as high as it has to be."""

        def __init__(self, guard):
            self.guard, self.name, self.moments = guard, guard.name, guard.moments

        def decide(self, record, state):
            loss = 30.0 if record["step"] == 18 else record["loss"]
            return self.guard.decide(dict(record) | {"loss": loss}, state)

    recipe = Recipe(PLAIN.replace(steps=40))
    run = train(dataclasses.replace(recipe, guards=(Watching(Spikes()),)), tmp_path / "run")
    (event,) = events(run)
    assert event["done"] == "continue" and len(run.metrics) == 40
    assert "only noted" in (run.path / "post-mortem.md").read_text(encoding="utf-8")


def test_a_guard_that_would_never_judge_is_refused():
    with pytest.raises(ConfigError, match="32"):
        Config(guard_spikes=True, steps=20)
    Config(guard_spikes=True, steps=20, spike_window=10)

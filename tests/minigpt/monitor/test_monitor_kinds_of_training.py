"""Mistakes in data, steps and state, from public bug reports: named when broken, silent when fixed."""

import copy
from itertools import count

import pytest
import torch
from loops import T, batch_at, tokens
from wild_kinds import STEPS, Kinds, hold, train
from wild_loops import Little, adamw, cross_entropy, groups

pytestmark = pytest.mark.filterwarnings("error:The monitor has stopped")
KINDS = Kinds()


@KINDS.add("repeated-batch")
def the_same_order_in_each_epoch(watch, broken):
    def batches(step):
        epoch, at = divmod(step, 6)
        order = torch.randperm(48, generator=torch.Generator().manual_seed(0 if broken else epoch))
        rows = order[at * 8 : at * 8 + 8]
        data = tokens()
        windows = torch.stack([data[40 * row : 40 * row + T + 1] for row in rows.tolist()])
        return windows[:, :-1], windows[:, 1:]

    train(watch, Little(), batches=batches)


@KINDS.add("repeated-batch")
def a_loader_that_starts_again(watch, broken):
    train(watch, Little(), batches=lambda step: batch_at(tokens(), 0 if broken else step)[:2])


@KINDS.add("repeated-batch")
def one_batch_for_all_micro_batches(watch, broken):
    model, numbers = Little(), count()
    optimizer = adamw(model)
    with watch(model, optimizer) as monitor:
        for step in range(STEPS):
            for _micro in range(3):
                x, y, _ = batch_at(tokens(), step if broken else next(numbers))
                loss = cross_entropy(model(x), y)
                (loss / 3).backward()
                monitor.step(loss)
            optimizer.step()
            optimizer.zero_grad()


@KINDS.add("lost-updates")
def weights_in_bfloat16(watch, broken):
    model = Little(d=32)
    model = model.bfloat16() if broken else model
    train(watch, model, optimizer=adamw(model, lr=2e-5), steps=40)


@KINDS.add("lost-accumulation")
def cleared_at_each_micro_batch(watch, broken):
    model, numbers = Little(), count()
    optimizer = adamw(model)
    with watch(model, optimizer) as monitor:
        for _step in range(STEPS):
            for _micro in range(3):
                if broken:
                    optimizer.zero_grad()
                x, y, _ = batch_at(tokens(), next(numbers))
                loss = cross_entropy(model(x), y)
                (loss / 3).backward()
                monitor.step(loss)
            optimizer.step()
            if not broken:
                optimizer.zero_grad()


@KINDS.add("no-optimizer-step")
def nobody_steps(watch, broken):
    model = Little()
    optimizer = adamw(model)
    with watch(model, optimizer) as monitor:
        for step in range(STEPS):
            x, y, _ = batch_at(tokens(), step)
            loss = cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            if not broken:
                optimizer.step()
            monitor.step(loss)


@KINDS.add("scaler-bypassed")
def a_step_beside_the_scaler(watch, broken):
    model, scaler = Little(), torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer = adamw(model)
    with watch(model, optimizer) as monitor:
        for step in range(STEPS):
            x, y, _ = batch_at(tokens(), step)
            loss = cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            if broken:
                optimizer.step()
            else:
                scaler.step(optimizer)
                scaler.update()
            monitor.step(loss)
            optimizer.zero_grad()


@KINDS.add("schedule-step-unit")
def a_scheduler_stepped_for_each_micro_batch(watch, broken):
    model, numbers = Little(), count()
    optimizer = adamw(model)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4 * STEPS)
    with watch(model, optimizer) as monitor:
        for _step in range(STEPS):
            for _micro in range(3):
                x, y, _ = batch_at(tokens(), next(numbers))
                loss = cross_entropy(model(x), y)
                (loss / 3).backward()
                monitor.step(loss)
                if broken:
                    schedule.step()
            optimizer.step()
            optimizer.zero_grad()
            if not broken:
                schedule.step()


@KINDS.add("schedule-backwards")
def a_decay_that_counts_up(watch, broken):
    model, steps = Little(), 120
    optimizer = adamw(model)

    def turn(step, _monitor):
        for group in optimizer.param_groups:
            group["lr"] = 3e-4 * ((step + 2) if broken else (steps - step - 1)) / steps

    turn(-1, None)
    train(watch, model, optimizer=optimizer, steps=steps, after=turn)


@KINDS.add("lost-optimizer-state")
def resumed_without_moments(watch, broken):
    model = Little()
    optimizer = adamw(model)
    for step in range(8):
        x, y, _ = batch_at(tokens(), step)
        cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
    train(watch, model, optimizer=adamw(model) if broken else optimizer, starts_from="step 8 of the same run")


@KINDS.add("lr-too-high")
def a_rate_no_model_can_bear(watch, broken):
    model = Little(d=32)
    train(watch, model, optimizer=adamw(model, lr=0.5 if broken else 3e-3), steps=220)


@KINDS.add("base-lr-zero")
def one_group_that_never_learns(watch, broken):
    model = Little()
    many, few = groups(model)
    optimizer = torch.optim.AdamW([many, few | {"lr": 0.0 if broken else 1e-3}], lr=1e-3)
    train(watch, model, optimizer=optimizer, steps=110)


@KINDS.add("writes-outside-optimizer")
def an_average_that_is_not_taken_back(watch, broken):
    model = Little()
    average = copy.deepcopy(model)

    def after(step, _monitor):
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 0.1)
        if step == 20:
            own = copy.deepcopy(model.state_dict())
            model.load_state_dict(average.state_dict())
            model.load_state_dict(average.state_dict() if broken else own)

    train(watch, model, after=after)


@KINDS.add("writes-outside-optimizer")
def weights_that_go_back_without_their_moments(watch, broken):
    model = Little()
    optimizer = adamw(model)
    kept = {}

    def after(step, _monitor):
        if step == 10:
            kept.update(copy.deepcopy({"model": model.state_dict(), "optimizer": optimizer.state_dict()}))
        if step == 20:
            model.load_state_dict(kept["model"])
            if not broken:  # a whole step back is no write
                optimizer.load_state_dict(kept["optimizer"])

    train(watch, model, optimizer=optimizer, steps=30, after=after)


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_named_when_broken_and_silent_when_fixed(name, watch):
    hold(KINDS[name], watch)

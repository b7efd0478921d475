"""More sound loops, written out, which no function that others share could hold; in `wild_loops.SOUND`."""

from __future__ import annotations

import copy
import io

import torch
from loops import B, T, V, batch_at, tokens
from torch import nn
from wild_loops import LOGITS, SOUND, STEPS, Little, adamw, cross_entropy, plain


def written_out(*unanswered):
    """Add a loop that is written out."""

    def add(loop):
        SOUND[loop.__name__.replace("_", "-")] = loop, unanswered
        return loop

    return add


def steps_of(watch, model, optimizer, **settings):
    """Yield the monitor and a batch for each step."""
    data = tokens()
    with watch(model, optimizer, **settings) as monitor:
        for step in range(STEPS):
            yield monitor, step, *batch_at(data, step)[:2]


@written_out()
def closure_called_again(watch):
    model, losses = Little(), []
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
    for monitor, _, inputs, targets in steps_of(watch, model, optimizer):

        def closure(inputs=inputs, targets=targets):
            optimizer.zero_grad()
            loss = plain(model, inputs, targets)
            loss.backward()
            return loss

        losses.append(optimizer.step(closure).item())
        monitor.step(losses[-1])
    return losses


@written_out()
def twice_to_look_around(watch):
    """Sharpness-aware: one backward pass to find a place near by, one there."""
    model, losses = Little(), []
    optimizer = adamw(model)
    for monitor, _, inputs, targets in steps_of(watch, model, optimizer):
        loss = plain(model, inputs, targets)
        loss.backward()
        with torch.no_grad():
            away = [0.01 * p.grad for p in model.parameters()]
            torch._foreach_add_(list(model.parameters()), away)
        optimizer.zero_grad()
        plain(model, inputs, targets).backward()
        with torch.no_grad():
            torch._foreach_sub_(list(model.parameters()), away)
        optimizer.step()
        optimizer.zero_grad()
        monitor.step(loss)
        losses.append(loss.item())
    return losses


@written_out()
def gradients_looked_at_first(watch):
    model, losses = Little(), []
    optimizer = adamw(model)
    for monitor, _, inputs, targets in steps_of(watch, model, optimizer):
        optimizer.zero_grad()
        loss = plain(model, inputs, targets)
        torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
        loss.backward()
        optimizer.step()
        monitor.step(loss)
        losses.append(loss.item())
    return losses


@written_out("1.2", "3.1", "3.3", *LOGITS)
def gradients_put_by_hand(watch):
    model, losses = Little(), []
    optimizer = adamw(model)
    for monitor, _, inputs, targets in steps_of(watch, model, optimizer):
        loss = plain(model, inputs, targets)
        for p, gradient in zip(
            model.parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True
        ):
            p.grad = gradient
        optimizer.step()
        monitor.step(loss)
        losses.append(loss.item())
    return losses


@written_out()
def tokens_weighed_right(watch):
    """The first micro-batch holds nearly all of the targets."""
    model, losses = Little(), []
    optimizer = adamw(model)
    for monitor, step, inputs, targets in steps_of(watch, model, optimizer):
        few = batch_at(tokens(), 100 + step)[1].masked_fill(torch.arange(T) < T - 3, -100)
        total = int((targets >= 0).sum() + (few >= 0).sum())
        for micro, scored in ((inputs, targets), (inputs.flip(0), few)):
            loss = cross_entropy(model(micro), scored, reduction="sum") / total
            loss.backward()
            monitor.step(loss)
            losses.append(loss.item())
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
    return losses


@written_out()
def copied_and_saved(watch):
    """A moving average of the weights, and the model saved whole in the middle."""
    model, losses = Little(), []
    optimizer = adamw(model)
    for monitor, step, inputs, targets in steps_of(watch, model, optimizer):
        optimizer.zero_grad()
        loss = plain(model, inputs, targets)
        loss.backward()
        optimizer.step()
        monitor.step(loss)
        if step == 3:
            average = torch.optim.swa_utils.AveragedModel(copy.deepcopy(model))
            saved = io.BytesIO()
            torch.save(model, saved)
            saved.seek(0)
            plain(torch.load(saved, weights_only=False), inputs, targets).backward()
        if step >= 3:
            average.update_parameters(model)
        losses.append(loss.item())
    return losses


@written_out()
def tried_again(watch):
    """An error in the first step and in a later one, after backward; both are made once more."""
    model, losses = Little(), []
    optimizer = adamw(model)
    for monitor, step, inputs, targets in steps_of(watch, model, optimizer):
        for _ in range(2 if step in (0, 4) else 1):
            optimizer.zero_grad()
            loss = plain(model, inputs, targets)
            loss.backward()
        optimizer.step()
        monitor.step(loss)
        losses.append(loss.item())
    return losses


@written_out()
def thawed_and_added(watch):
    """A part that is frozen at first; it learns later, in a group of its own."""
    model, losses = Little(), []
    model.mlp.requires_grad_(False)
    optimizer = adamw(model)
    for monitor, step, inputs, targets in steps_of(watch, model, optimizer):
        if step == 6:
            model.mlp.requires_grad_(True)
            optimizer.add_param_group({"params": list(model.mlp.parameters()), "weight_decay": 0.0})
        optimizer.zero_grad()
        loss = plain(model, inputs, targets)
        loss.backward()
        optimizer.step()
        monitor.step(loss)
        losses.append(loss.item())
    return losses


@written_out()
def critic_in_the_same_module(watch):
    """Two optimizers by turns, the other one's backward pass through both halves."""
    model, losses = nn.ModuleDict({"writer": Little(), "critic": nn.Linear(V, 1)}), []
    optimizer = adamw(model["writer"])
    other = torch.optim.AdamW(model["critic"].parameters(), lr=1e-3, weight_decay=0.0)
    for monitor, _, inputs, targets in steps_of(watch, model, optimizer):
        for _ in range(2):
            other.zero_grad()
            model["critic"](model["writer"](inputs).softmax(-1)).mean().backward()
            other.step()
        optimizer.zero_grad()
        made = model["writer"](inputs)
        loss = cross_entropy(made, targets) - 0.01 * model["critic"](made.softmax(-1)).mean()
        loss.backward()
        optimizer.step()
        monitor.step(loss)
        losses.append(loss.item())
    return losses


def scaled(init_scale, fused):
    """Add a loop in fp16 whose scaler nobody declares."""

    def loop(watch):
        model, losses = Little(), []
        optimizer, scaler = adamw(model, fused=fused), torch.amp.GradScaler("cpu", init_scale=init_scale)
        for monitor, _, inputs, targets in steps_of(watch, model, optimizer):
            with torch.autocast("cpu", torch.float16):
                loss = plain(model, inputs, targets)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            monitor.step(loss)
            losses.append(loss.item())
        return losses

    SOUND[f"fp16 from {init_scale:g}{', fused' * fused}"] = loop, ()


scaled(float(B * T), fused=False)  # a factor that a sum over the batch would have, too
scaled(2.0**24, fused=True)  # the first steps overflow, and do nothing

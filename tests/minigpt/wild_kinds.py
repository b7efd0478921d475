"""What the tests of kinds of mistakes share: a list, the plainest training, and what holds for each."""

from loops import batch_at, tokens
from wild_loops import adamw, cross_entropy

from minigpt.diagnosis import check

STEPS = 24


class Kinds(dict):
    """Loops, `loop(watch, broken)`, by name, with the leaves of which one must be named when broken."""

    def add(self, *leaves):
        """Return a decorator that adds a loop."""

        def added(loop):
            self[loop.__name__] = loop, leaves
            return loop

        return added


def train(
    watch,
    model,
    *,
    optimizer=None,
    loss_of=None,
    batches=None,
    steps=STEPS,
    before=None,
    after=None,
    **settings,
):
    """Train in the plainest way; `batches(step)` gives inputs and targets, (B, T) each."""
    optimizer, data = optimizer or adamw(model), tokens()
    loss_of = loss_of or (lambda x, y: cross_entropy(model(x), y))
    batches = batches or (lambda step: batch_at(data, step)[:2])
    with watch(model, optimizer, **settings) as monitor:
        for step in range(steps):
            if before:
                before(step, monitor)
            loss = loss_of(*batches(step))
            loss.backward()
            optimizer.step()
            monitor.step(loss)
            optimizer.zero_grad()
            if after:
                after(step, monitor)


def hold(kind, watch):
    """Hold that one of the kind's leaves is named in the broken loop, and none in the fixed one."""
    loop, leaves = kind
    loop(watch, True)
    found = check(watch.run_dir)
    assert found.leaf in leaves, (found.leaf, found.verdict)
    loop(watch, False)
    assert check(watch.run_dir, whole=True).leaves == []

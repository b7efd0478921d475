"""Right and wrong answers to `train-with-rollback`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

CALM, ONCE, TWICE, AT_ONCE, KEPT = (
    f"train-with-rollback/{aspect}" for aspect in ("calm", "once", "twice", "at-once", "kept")
)


def _train(
    take="copy.deepcopy((model.state_dict(), optimizer.state_dict(), kept))",
    weights="model.load_state_dict(before[0])",
    moments="optimizer.load_state_dict(before[1])",
    names="kept = before[2]",
    back="copy.deepcopy(snapshot)",
    due="len(kept) % every == 0",
    end="return kept",
    drop="continue",
    clear="optimizer.zero_grad()",
):
    return f"""
def train_with_rollback(model, optimizer, loss_of, batches, is_spike, every):
    kept, snapshot = [], None
    for index, batch in enumerate(batches):
        if {due}:
            snapshot = {take}
        loss = loss_of(model, batch)
        if is_spike(loss.item()):
            before = {back}
            {weights}
            {moments}
            {names}
            {drop}
        loss.backward()
        optimizer.step()
        {clear}
        kept.append(index)
    {end}
"""


ANSWERS = [
    Valid("train-with-rollback", "deepcopies", _train()),
    Valid("train-with-rollback", "uses-the-snapshot-up", _train(back="snapshot")),
    Valid(
        "train-with-rollback",
        "clones",
        """
def train_with_rollback(model, optimizer, loss_of, batches, is_spike, every):
    done = []
    weights, moments, mark = None, None, 0
    for number in range(len(batches)):
        if len(done) % every == 0:
            weights = {name: value.clone() for name, value in model.state_dict().items()}
            moments = copy.deepcopy(optimizer.state_dict())
            mark = len(done)
        optimizer.zero_grad()
        loss = loss_of(model, batches[number])
        if is_spike(float(loss)):
            model.load_state_dict(weights)
            optimizer.load_state_dict(copy.deepcopy(moments))
            del done[mark:]
        else:
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            done.append(number)
    return done
""",
    ),
    Mutant(
        "train-with-rollback",
        "no-copy",
        _train(take="(model.state_dict(), optimizer.state_dict(), list(kept))", back="snapshot"),
        {ONCE: "only-the-batch", TWICE: "only-the-batch", AT_ONCE: "only-the-batch"},
    ),
    Mutant(
        "train-with-rollback",
        "weights-alone",
        _train(moments="pass"),
        {ONCE: "moments-not-back", TWICE: "moments-not-back", AT_ONCE: "moments-not-back"},
    ),
    Mutant(
        "train-with-rollback",
        "moments-alone",
        _train(weights="pass"),
        {ONCE: "weights-not-back", TWICE: "weights-not-back", AT_ONCE: "weights-not-back"},
    ),
    Mutant(
        "train-with-rollback",
        "drops-the-batch",
        _train(weights="pass", moments="pass", names="pass"),
        {ONCE: "only-the-batch", TWICE: "only-the-batch", AT_ONCE: "only-the-batch", KEPT: "kept-too-many"},
    ),
    Mutant(
        "train-with-rollback",
        "first-snapshot",
        _train(due="snapshot is None"),
        {ONCE: "oldest-snapshot", TWICE: "oldest-snapshot", AT_ONCE: "oldest-snapshot", KEPT: "kept-off"},
    ),
    Mutant(
        "train-with-rollback",
        "snapshots-by-batch",
        _train(due="index % every == 0"),
        {TWICE: "every-by-batch"},
    ),
    Mutant(
        "train-with-rollback",
        "says-it-kept-all",
        _train(names="pass"),
        {TWICE: "weights-off", KEPT: "kept-too-many"},
    ),
    Mutant(
        "train-with-rollback",
        "trains-on-it-again",
        _train(drop="loss = loss_of(model, batch)"),
        {ONCE: "weights-off", TWICE: "weights-off", AT_ONCE: "weights-off", KEPT: "kept-too-many"},
    ),
    Mutant(
        "train-with-rollback",
        "never-clears",
        _train(clear="pass"),
        {CALM: "weights-off", ONCE: "weights-off", TWICE: "weights-off", AT_ONCE: "weights-off"},
    ),
    Mutant("train-with-rollback", "says-nothing", _train(end="pass"), {KEPT: "check.returned-none"}),
    Mutant(
        "train-with-rollback",
        "gradient-left",
        """
def train_with_rollback(model, optimizer, loss_of, batches, is_spike, every):
    counted, newest, made = [], None, 0
    for index, batch in enumerate(batches):
        if len(counted) % every == 0:
            newest = copy.deepcopy((model.state_dict(), optimizer.state_dict(), counted))
        loss = loss_of(model, batch)
        if is_spike(loss.item()):
            weights, moments, counted = copy.deepcopy(newest)
            model.load_state_dict(weights)
            optimizer.load_state_dict(moments)
        else:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            pass
            counted.append(index)
            made += 1
    return counted
""",
        {"train-with-rollback/calm": "gradient-left"},
    ),
]

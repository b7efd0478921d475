"""Right and wrong answers to `checkpoint`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

WEIGHTS, MOMENTS, POSITION, RANDOM, SAME = (
    f"checkpoint/{aspect}" for aspect in ("weights", "optimizer", "position", "randomness", "identical")
)

MODEL, ADAM, PLAN, SCALE, STEP, BATCHES, DROPOUT = (
    ('"model": training.model.state_dict()', 'training.model.load_state_dict(state["model"])'),
    (
        '"optimizer": training.optimizer.state_dict()',
        'training.optimizer.load_state_dict(state["optimizer"])',
    ),
    ('"schedule": training.scheduler.state_dict()', 'training.scheduler.load_state_dict(state["schedule"])'),
    ('"scaler": training.scaler.state_dict()', 'training.scaler.load_state_dict(state["scaler"])'),
    ('"step": training.step', 'training.step = state["step"]'),
    ('"batches": training.generator.get_state()', 'training.generator.set_state(state["batches"])'),
    ('"dropout": torch.get_rng_state()', 'torch.set_rng_state(state["dropout"])'),
)
ALL = (MODEL, ADAM, PLAN, SCALE, STEP, BATCHES, DROPOUT)


def _checkpoint(*parts):
    saved = ", ".join(part[0] for part in parts)
    loaded = "\n        ".join(part[1] for part in parts)
    return f"""
class Checkpoint:
    def save(self, training, path):
        torch.save({{{saved}}}, path)

    def load(self, training, path):
        state = torch.load(path, weights_only=True)
        {loaded}
"""


def _without(*left_out, instead=()):
    return _checkpoint(*[part for part in ALL if part not in left_out], *instead)


ANSWERS = [
    Valid("checkpoint", "one-by-one", _checkpoint(*ALL)),
    Valid(
        "checkpoint",
        "by-name",
        """
class Checkpoint:
    keeps = ("model", "optimizer", "scheduler", "scaler")

    def save(self, training, path):
        parts = {name: getattr(training, name).state_dict() for name in self.keeps}
        draws = [training.generator.get_state(), torch.random.get_rng_state()]
        torch.save((parts, draws, training.step), path)

    def load(self, training, path):
        parts, draws, training.step = torch.load(path)
        for name, state in parts.items():
            getattr(training, name).load_state_dict(state)
        training.generator.set_state(draws[0])
        torch.random.set_rng_state(draws[1])
""",
    ),
    Mutant(
        "checkpoint",
        "weights-only",
        _checkpoint(MODEL),
        {MOMENTS: "moments-lost", POSITION: "step-lost", RANDOM: "batches-differ", SAME: "not-identical"},
    ),
    Mutant(
        "checkpoint",
        "no-buffers",
        _without(
            MODEL,
            instead=(
                (
                    '"model": dict(training.model.named_parameters())',
                    'training.model.load_state_dict(state["model"], strict=False)',
                ),
            ),
        ),
        {WEIGHTS: "buffers-not-loaded", SAME: "not-identical"},
    ),
    Mutant(
        "checkpoint",
        "reads-and-forgets",
        _checkpoint(*[(saved, saved.split(":")[0]) for saved, _ in ALL]),
        {
            WEIGHTS: "weights-not-loaded",
            MOMENTS: "moments-lost",
            POSITION: "step-lost",
            RANDOM: "batches-differ",
            SAME: "not-identical",
        },
    ),
    Mutant(
        "checkpoint",
        "no-optimizer",
        _without(ADAM),
        {MOMENTS: "moments-lost", POSITION: "rate-lost", SAME: "not-identical"},
    ),
    Mutant(
        "checkpoint",
        "groups-without-moments",
        _without(
            ADAM,
            instead=(
                (
                    '"groups": training.optimizer.state_dict()["param_groups"]',
                    'training.optimizer.load_state_dict({"state": {}, "param_groups": state["groups"]})',
                ),
            ),
        ),
        {MOMENTS: "moments-lost", SAME: "not-identical"},
    ),
    Mutant(
        "checkpoint",
        "moments-without-count",
        _without(
            instead=(('"x": 0', 'for s in training.optimizer.state.values(): s["step"] = torch.tensor(1.0)'),)
        ),
        {MOMENTS: "count-lost", SAME: "not-identical"},
    ),
    Mutant(
        "checkpoint",
        "no-schedule",
        _without(PLAN),
        {POSITION: "schedule-lost", SAME: "not-identical"},
    ),
    Mutant("checkpoint", "no-step", _without(STEP), {POSITION: "step-lost"}),
    Mutant("checkpoint", "no-scaler", _without(SCALE), {POSITION: "scale-lost"}),
    Mutant(
        "checkpoint",
        "scale-without-count",
        _without(
            SCALE,
            instead=(
                (
                    '"scale": training.scaler.get_scale()',
                    'fresh = training.scaler.state_dict() | {"scale": state["scale"]}; '
                    "training.scaler.load_state_dict(fresh)",
                ),
            ),
        ),
        {POSITION: "tracker-lost"},
    ),
    Mutant(
        "checkpoint",
        "no-batches",
        _without(BATCHES),
        {RANDOM: "batches-differ", SAME: "not-identical"},
    ),
    Mutant(
        "checkpoint",
        "no-dropout",
        _without(DROPOUT),
        {RANDOM: "dropout-differs", SAME: "not-identical"},
    ),
    Mutant(
        "checkpoint",
        "seeds-again",
        _without(DROPOUT, instead=(('"seed": torch.initial_seed()', 'torch.manual_seed(state["seed"])'),)),
        {RANDOM: "dropout-differs", SAME: "not-identical"},
    ),
]

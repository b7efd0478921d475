"""Right and wrong answers to lesson 18-07; each wrong one names the checks it fails and what it is told."""

from course.mutants import Mutant, Valid

NOTHING, OPTIMIZER, SCHEDULE, SCALER, SEVERAL = (
    f"resume-audit/{aspect}" for aspect in ("nothing", "optimizer", "schedule", "scaler", "several")
)
WEIGHTS, MOMENTS, POSITION, RANDOM, SAME = (
    f"checkpoint/{aspect}" for aspect in ("weights", "optimizer", "position", "randomness", "identical")
)
TRIP, KILL, TORN, CHANGED = (f"safe-file/{aspect}" for aspect in ("round-trip", "kill", "torn", "changed"))


def _audit(
    update='first["update"] > 0.9',
    rate='not math.isclose(first["lr"], asked, rel_tol=1e-3)',
    scale='not 0.5 <= first["scale"] / last["scale"] <= 2',
    returns="lost",
):
    return f"""
def resume_audit(last, first, asked):
    lost = []
    if {update}:
        lost.append("optimizer")
    if {rate}:
        lost.append("schedule")
    if {scale}:
        lost.append("scaler")
    return {returns}
"""


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


def _file(write, read):
    def body(lines):
        return "\n        ".join(lines)

    return f"""
class SafeFile:
    def __init__(self, path):
        self.path = Path(path)

    def write(self, data):
        {body(write)}

    def read(self):
        {body(read)}
"""


SEAL = "sealed = hashlib.sha256(data).digest() + data"
NEW = 'new = self.path.with_name("new")'
RENAME = ("new.write_bytes(sealed)", "os.replace(new, self.path)")
OPEN = ("content = self.path.read_bytes()", "seal, data = content[:32], content[32:]")
REFUSE = ("if hashlib.sha256(data).digest() != seal:", "    raise ValueError(self.path.name)")
SIDE = 'side = self.path.with_name("hash")'

ANSWERS = [
    # 1
    Valid("resume-audit", "set", _audit(returns="set(lost)")),
    Valid(
        "resume-audit",
        "comprehension",
        """
def resume_audit(last, first, asked):
    signs = {
        "scaler": abs(math.log2(first["scale"] / last["scale"])) > 1.5,
        "schedule": abs(first["lr"] / asked - 1) > 0.01,
        "optimizer": first["update"] >= 0.8,
    }
    return [name for name, lost in signs.items() if lost]
""",
    ),
    Mutant(
        "resume-audit",
        "compares-with-last-rate",
        _audit(rate='first["lr"] != last["lr"]'),
        dict.fromkeys((NOTHING, OPTIMIZER, SCALER), "schedule-false-alarm"),
    ),
    Mutant(
        "resume-audit",
        "scale-must-stand-still",
        _audit(scale='first["scale"] != last["scale"]'),
        dict.fromkeys((NOTHING, OPTIMIZER, SCHEDULE), "scaler-false-alarm"),
    ),
    Mutant(
        "resume-audit",
        "update-must-be-small",
        _audit(update='first["update"] < 0.01'),
        dict.fromkeys((OPTIMIZER, SEVERAL), "optimizer-missed"),
    ),
    Mutant(
        "resume-audit",
        "only-slower",
        _audit(rate='first["lr"] < 0.99 * asked'),
        dict.fromkeys((SCHEDULE, SEVERAL), "schedule-missed"),
    ),
    Mutant(
        "resume-audit",
        "no-scaler",
        _audit(scale="False"),
        dict.fromkeys((SCALER, SEVERAL), "scaler-missed"),
    ),
    Mutant("resume-audit", "first-found", _audit(returns="lost[:1]"), {SEVERAL: "scaler-missed"}),
    Mutant(
        "resume-audit",
        "one-string",
        _audit(returns='", ".join(lost)'),
        dict.fromkeys((NOTHING, OPTIMIZER, SCHEDULE, SCALER, SEVERAL), "not-a-list-of-parts"),
    ),
    Mutant(
        "resume-audit",
        "always-optimizer",
        _audit(update="True"),
        dict.fromkeys((NOTHING, SCHEDULE, SCALER), "optimizer-false-alarm"),
    ),
    # 2
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
    # 3
    Valid("safe-file", "sealed-and-renamed", _file((SEAL, NEW, *RENAME), (*OPEN, *REFUSE, "return data"))),
    Valid(
        "safe-file",
        "hex-and-path-replace",
        _file(
            (
                "import zlib",
                'with open(f"{self.path}.part", "wb") as file:',
                '    file.write(b"%08x" % zlib.crc32(data) + data)',
                "    file.flush()",
                "    os.fsync(file.fileno())",
                'Path(f"{self.path}.part").replace(self.path)',
            ),
            (
                "import zlib",
                "content = self.path.read_bytes()",
                'assert content[:8] == b"%08x" % zlib.crc32(content[8:])',
                "return content[8:]",
            ),
        ),
    ),
    Mutant(
        "safe-file",
        "in-place",
        _file((SEAL, "self.path.write_bytes(sealed)"), (*OPEN, *REFUSE, "return data")),
        {KILL: "written-in-place"},
    ),
    Mutant(
        "safe-file",
        "plain",
        _file(("self.path.write_bytes(data)",), ("return self.path.read_bytes()",)),
        {KILL: "written-in-place", TORN: "torn-accepted", CHANGED: "changed-accepted"},
    ),
    Mutant(
        "safe-file",
        "no-seal",
        _file((NEW, "sealed = data", *RENAME), ("return self.path.read_bytes()",)),
        {TORN: "torn-accepted", CHANGED: "changed-accepted"},
    ),
    Mutant(
        "safe-file",
        "only-the-length",
        _file(
            (NEW, 'sealed = len(data).to_bytes(8, "big") + data', *RENAME),
            (
                "content = self.path.read_bytes()",
                'if len(content) < 8 or int.from_bytes(content[:8], "big") != len(content) - 8:',
                "    raise ValueError",
                "return content[8:]",
            ),
        ),
        {CHANGED: "changed-accepted"},
    ),
    Mutant(
        "safe-file",
        "removes-first",
        _file(
            (SEAL, NEW, RENAME[0], "self.path.unlink(missing_ok=True)", "new.rename(self.path)"),
            (*OPEN, *REFUSE, "return data"),
        ),
        {KILL: "nothing-left"},
    ),
    Mutant(
        "safe-file",
        "hash-beside",
        _file(
            (
                *(NEW, "sealed = data", *RENAME, SIDE),
                "new.write_text(hashlib.sha256(data).hexdigest())",
                "os.replace(new, side)",
            ),
            (
                *(SIDE, "data = self.path.read_bytes()"),
                "if hashlib.sha256(data).hexdigest() != side.read_text():",
                "    raise ValueError",
                "return data",
            ),
        ),
        {KILL: "nothing-left"},
    ),
    Mutant(
        "safe-file",
        "no-return",
        _file((SEAL, NEW, *RENAME), (*OPEN, *REFUSE)),
        {TRIP: "read-nothing", KILL: "nothing-left", TORN: "never-reads", CHANGED: "never-reads"},
    ),
    Mutant(
        "safe-file",
        "shrugs",
        _file(
            (SEAL, NEW, *RENAME),
            (
                "if not self.path.exists():",
                '    return b""',
                *OPEN,
                'return data if hashlib.sha256(data).digest() == seal else b""',
            ),
        ),
        {TRIP: "missing-accepted", TORN: "torn-accepted", CHANGED: "changed-accepted"},
    ),
    Mutant(
        "safe-file",
        "seal-comes-too",
        _file((SEAL, NEW, *RENAME), (*OPEN, *REFUSE, "return content")),
        {TRIP: "other-bytes", KILL: "half-and-half"},
    ),
]

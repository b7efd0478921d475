"""The course's secret decides the cases, no learner's process is told a seed, and borrowed work is told."""

import json
import os
import stat
import sys

import nbformat
import pytest
from test_grade_honest import course

from course.grade.delegation import delegates
from course.grade.judge import probe_seed, seed_of
from course.grade.sandbox import strongest
from course.grade.secret import NAME, course_secret
from course.lesson import ROOT, find_lesson
from course.messages import CourseError

sys.path.insert(0, str(ROOT / "benchmarks"))
from attacks_kinds import REWOUND  # noqa: E402

# Saves no more than the seeds that its process can be asked for, and trains again from those.
TRAINED_AGAIN = """
import json, types
_module = types.ModuleType("_checkpoint")
class _Now:
    exec(SOURCE, _module.__dict__)
class Checkpoint:
    def save(self, training, path):
        with open(path, "w") as file:
            json.dump([torch.initial_seed(), training.generator.initial_seed(), training.step], file)
    def load(self, training, path):
        with open(path) as file: seed, _, steps = json.load(file)
        again = _module.Training(seed)
        _module._advance(again, steps)
        training.accept(again.report())
        training.generator.set_state(again.generator.get_state())
"""


def test_the_secret_is_made_once_for_its_owner_alone_and_decides_the_seed(tmp_path):
    secret = course_secret(tmp_path)
    assert course_secret(tmp_path) == secret and len(secret) == 32
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [NAME]
    one = seed_of(secret, "18-01", "ana", "r")
    assert one == seed_of(secret, "18-01", "ana", "r") != seed_of(b"another", "18-01", "ana", "r")


@pytest.mark.parametrize("content", [b"", b"not hexadecimal", b"00ff", b"\xff\xfe"])
def test_a_secret_that_cannot_be_read_is_a_sentence_and_not_another_secret(content, tmp_path):
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(CourseError, match="secret"):
        course_secret(tmp_path)
    assert (tmp_path / NAME).read_bytes() == content


@pytest.mark.parametrize(
    ("source", "helper"),
    [
        (
            "import minigpt.training.step as s\ndef clip(p, n):\n    return s.clip(p, n)",
            "minigpt.training.step.clip",
        ),
        ("from minigpt.training.schedule import lr_at as f\nlr_at = f", "minigpt.training.schedule.lr_at"),
        (
            "def f(x):\n    'doc'\n    from minigpt.model.gpt import init\n    init(x)",
            "minigpt.model.gpt.init",
        ),
        ("import minigpt\nf = lambda x: minigpt.check(x)", "minigpt.check"),
        (
            "from minigpt import Config\ndef f(n):\n    c = Config(steps=n)\n    return c.steps + 1",
            None,
        ),
        ("def f(x):\n    return math.log(x)", None),
        (
            "def f(p, n):\n    return torch.nn.utils.clip_grad_norm_(p, n)",
            "torch.nn.utils.clip_grad_norm_",
        ),
        ("def f(:", None),
    ],
)
def test_an_answer_that_hands_its_work_to_a_helper_is_told(source, helper):
    assert delegates(source) == helper


def test_the_seed_of_a_probe_is_no_step_to_that_of_the_submission():
    seeds = {probe_seed(seed, name, n) for seed in (1, 2) for name in ("a/b", "a/c") for n in range(3)}
    assert len(seeds) == 12 and all(2**20 < seed < 2**63 for seed in seeds)


@pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")
def test_what_a_generator_tells_of_its_seed_earns_nothing(tmp_path):
    lesson = find_lesson("18-07")
    sources = {file.stem: file.read_text("utf-8") for file in (lesson.folder / "checks").glob("*.py")}
    rewound = REWOUND.replace("SOURCES", repr(sources)).replace("EXERCISE", "resume-audit")
    cells = {
        "checkpoint": TRAINED_AGAIN.replace("SOURCE", repr(sources["checkpoint"])),
        "resume-audit": f"{rewound}resume_audit = _rewound\n",
    }
    notebook = nbformat.read(lesson.built("solutions"), as_version=4)
    for cell in notebook.cells:
        cell.source = cells.get(cell.id, cell.source)
    file = tmp_path / "submitted" / "eva" / lesson.assignment / f"{lesson.slug}.ipynb"
    file.parent.mkdir(parents=True)
    nbformat.write(notebook, file)
    course(tmp_path, "grade", "18-07")
    result = tmp_path / "autograded" / ".results" / lesson.assignment / "eva.json"
    checks = json.loads(result.read_text("utf-8"))["checks"]
    passed = {name for name, verdict in checks.items() if verdict["passed"]}
    # how many steps a run has made is no secret of its state, and so it may keep its position
    assert passed - {name for name in passed if name.startswith("safe-file/")} <= {"checkpoint/position"}

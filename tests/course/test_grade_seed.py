"""The course's secret decides the cases, and borrowed work is told."""

import os
import stat

import pytest

from course.grade.delegation import delegates
from course.grade.judge import seed_of
from course.grade.secret import NAME, course_secret
from course.messages import CourseError


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

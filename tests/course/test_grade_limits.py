"""What a learner's process may not do at either level, and a sandbox that is killed in the middle."""

import os
import platform
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

from course.grade import calls, cradle, sandbox
from course.grade.system import children
from course.grade.weight import Weight
from course.grade.workshop import Workshop

pytestmark = pytest.mark.skipif(sandbox.strongest() == "none", reason="this machine has no sandbox")

CASE = {"check": "expected-loss/value", "case": {"vocab_size": 2}, "seed": 1}
TRIES = """
import ctypes, os, resource, signal, socket
libc = ctypes.CDLL(None)
def attempt(call):
    try:
        return call() not in (-1, None, False)
    except (OSError, ValueError, AttributeError):
        return False
def expected_loss(vocab_size):
    mine = os.getpid()
    others = {os.getppid(), mine - 1, mine - 2, 1} - {0, mine}
    found = {
        "shared memory": attempt(lambda: libc.shmget(0x1234, 4096, 0o1666)),
        "message queue": attempt(lambda: libc.msgget(0x1234, 0o1666)),
        "semaphore": attempt(lambda: libc.semget(0x1234, 1, 0o1666)),
        "memfd": attempt(lambda: os.memfd_create("x") + 1),
        "abstract socket": attempt(lambda: socket.socket(socket.AF_UNIX).bind("\\0x") or True),
        "limits of others": any(attempt(lambda: resource.prlimit(p, 9, (1, 1))) for p in others),
        "priority of others": any(attempt(lambda: os.setpriority(0, p, 19) is None) for p in others),
        "a signal": any(attempt(lambda: os.kill(p, 0) is None) for p in others),
        "own limits unread": not attempt(lambda: resource.getrlimit(resource.RLIMIT_AS)),
    }
    raise ValueError(",".join(name for name, could in found.items() if could) or "nothing")
"""


@pytest.fixture(params=["namespaces", "landlock"])
def workshop(request, small, built):
    """A workshop at each level that this machine has."""
    if sandbox.strongest() != "namespaces" and request.param == "namespaces":
        pytest.skip("this machine has no namespaces")
    release = nbformat.read(small.built("en", built), as_version=4)
    # filling gigabytes takes a busy core long, and whoever sleeps here sleeps for longer still
    with Workshop(small, release, request.param, seconds=300) as workshop:
        yield workshop


def ask(workshop, code):
    return workshop.ask([["expected-loss", code]], [CASE])[0]


def test_no_memory_is_shared_and_nobody_else_is_reached(workshop):
    found = ask(workshop, TRIES)["failure"]["values"]["what"]
    assert found == "ValueError: nothing"


def test_a_signal_to_the_whole_group_ends_nobody_else(workshop):
    code = "import os, signal\ndef expected_loss(v):\n    os.kill(0, signal.SIGKILL)\n    return 1.0\n"
    ask(workshop, code)
    assert workshop.starts == 1
    assert ask(workshop, "def expected_loss(v):\n    return 1.0\n")["output"] == {"loss": 1.0}


def test_a_file_that_one_process_leaves_is_not_there_for_the_next(workshop):
    code = (
        "import os\ndef expected_loss(v):\n"
        "    there = os.path.exists('left.txt') or os.path.exists('/tmp/left.txt')\n"
        "    open('left.txt', 'w').close()\n    return float(there)\n"
    )
    outcomes = workshop.ask([["expected-loss", code]], [CASE, CASE])
    assert [outcome["output"] for outcome in outcomes] == [{"loss": 0.0}] * 2


@pytest.mark.parametrize("size", [10**7, 0])
def test_files_that_would_fill_the_disk_end_their_question_and_are_gone(workshop, size):
    code = (
        "def expected_loss(v):\n    for number in range(10**9):\n"
        f"        with open(f'{{number}}', 'wb') as file:\n            file.write(b'x' * {size})\n"
    )
    failure = ask(workshop, code)["failure"]
    said = failure["key"] + str(failure["values"].get("what"))
    assert "grade.disk" in said if workshop.level == "landlock" else "No space left" in said
    assert ask(workshop, "def expected_loss(v):\n    return 1.0\n")["output"] == {"loss": 1.0}
    if workshop.level == "landlock":
        left = [file for file in Path(workshop.scratch).rglob("*") if file.is_file()]
        assert sum(file.stat().st_size for file in left) < 10**6


@pytest.mark.parametrize(
    "how", ["held.append(file)", "held.append(mmap.mmap(file.fileno(), 4096)); file.close()"]
)
def test_files_without_a_name_are_counted(workshop, how):
    code = (
        "import mmap, os, time\ndef expected_loss(v):\n    held = []\n    for number in range(40):\n"
        "        file = open('x', 'wb+')\n        os.unlink('x')\n        file.write(b'x' * 10**7)\n"
        f"        file.flush()\n        {how}\n    time.sleep(600)\n"
    )
    failure = ask(workshop, code)["failure"]
    said = failure["key"] + str(failure["values"].get("what"))
    assert "grade.disk" in said if workshop.level == "landlock" else "No space left" in said
    one = "import tempfile\ndef expected_loss(v):\n    with tempfile.TemporaryFile() as file:\n"
    one += "        file.write(b'x' * 10**7)\n        return 1.0\n"
    assert ask(workshop, one)["output"] == {"loss": 1.0}, "and a few are nobody's business"


def test_many_processes_hold_together_no_more_than_one_may(workshop):
    code = (
        "import os, time\ndef expected_loss(v):\n    for _ in range(4):\n        if os.fork() == 0:\n"
        "            held = [bytearray(b'x') * 50_000_000 for _ in range(14)]\n            time.sleep(600)\n"
        "    time.sleep(600)\n"
    )
    assert ask(workshop, code)["failure"]["key"] == "grade.memory"


def test_what_the_kernel_ends_for_memory_is_seen(tmp_path):
    (tmp_path / "vmstat").write_text("nr_free_pages 7\noom_kill 3\n")
    weight = Weight(os.open(tmp_path, os.O_RDONLY))
    assert not weight.kernel_killed()
    (tmp_path / "vmstat").write_text("nr_free_pages 7\noom_kill 4\n")
    assert weight.kernel_killed() and not Weight(None).kernel_killed()


def test_a_zygote_that_is_killed_is_started_again_and_its_question_repeated(workshop):
    code = "import time\ndef expected_loss(v):\n    time.sleep(1)\n    return 3.0\n"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, workshop, code)
        while not _all_below(workshop.process.pid):
            os.sched_yield()
        os.kill(workshop.process.pid, signal.SIGKILL)
        assert waiting.result()["output"] == {"loss": 3.0}
    assert workshop.starts == 2


def test_what_zygotes_come_from_may_be_killed_too(workshop):
    for process, _ in cradle._cradles.values():
        process.kill()
        process.wait()
    os.kill(workshop.process.pid, signal.SIGKILL)
    workshop.process.wait()
    assert ask(workshop, "def expected_loss(v):\n    return 3.0\n")["output"] == {"loss": 3.0}
    assert workshop.starts == 2


def test_a_question_that_the_kernel_kills_is_asked_again(workshop):
    code = "import time\ndef expected_loss(v):\n    time.sleep(1)\n    return 3.0\n"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, workshop, code)
        while not (below := _all_below(workshop.process.pid)):
            os.sched_yield()
        os.kill(below[0], signal.SIGKILL)
        assert waiting.result()["output"] == {"loss": 3.0}
    assert workshop.starts == 1


def _all_below(zygote):
    """The questions of a zygote; of an ordinary user it is itself one process further down."""
    found = children(zygote)
    if os.geteuid() != 0:
        found = [pid for between in found for pid in children(between)] or found
    return found


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "riscv64"])
def test_a_machine_whose_calls_are_not_known_is_said_to_filter_nothing(machine, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert calls.known() is (machine != "riscv64")
    if machine == "riscv64":
        calls.refuse_calls(shared_table=True)
        assert os.memfd_create("still allowed") > 0

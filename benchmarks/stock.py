"""What stock nbgrader makes of one hostile submission, in a container that is thrown away.

    python benchmarks/stock.py COURSE 18-01-did-it-start did-it-start mallory     # prints a word or points

COURSE is a course directory with a release and that submission among others. Stock nbgrader runs a learner's
code with the rights of whoever grades, so it and its kernel get a machine of their own: a copy of COURSE,
Python and this repository to read, 400 MB to write into, no network but their own, a process table that ends
with them, a user that owns nothing else, limits on memory, CPU seconds, processes and files. What they do to
each other in there is what is measured.

    points    stock nbgrader gave so many       leaks      what the learner's code found stands in the outputs
    no result it wrote no autograded notebook   hangs      it did not come to an end
    harms     it was killed, somebody else's file was changed, or a process stayed
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from course.grade import system
from course.lesson import ROOT

SECONDS = 240
CELL_SECONDS = 20  # nbgrader then interrupts the cell and goes on with the next
MEMORY = 3_000_000_000  # bytes that one process may address
PROCESSES = 64
ROOM = "size=400m,mode=755"
USER = 60_999  # as root; otherwise whoever runs this
SHOWN = ("/usr", "/lib", "/lib64", "/bin", "/etc/passwd", "/etc/ld.so.cache", "/etc/localtime", "/etc/fonts")
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def outcome(course: Path, assignment: str, slug: str, student: str, mark: str) -> str:
    """Run the container and return its word."""
    command = [sys.executable, __file__, str(course), assignment, slug, student, mark]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2 * SECONDS)
    if done.returncode or not done.stdout.strip():
        raise RuntimeError(f"the container of {student} failed: {done.stderr[-2000:]}")
    return done.stdout.strip()


def main() -> None:
    """Enter the container, grade, look, print."""
    course, assignment, slug, student, mark = Path(sys.argv[1]), *sys.argv[2:]
    tasks = 0 if os.geteuid() == 0 else system.tasks_of(os.geteuid())
    with tempfile.TemporaryDirectory() as root:
        _leave_the_machine()
        pid = os.fork()
        if pid == 0:  # the first process of a table of its own: when it ends, everybody in it does
            system.prctl(system.PDEATHSIG, signal.SIGKILL)
            _build(root, course)
            os.chdir(course)
            print(_grade(course, assignment, slug, student, mark, tasks), flush=True)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    sys.exit(status)


def _leave_the_machine() -> None:
    uid, gid = os.geteuid(), os.getegid()
    new = system.NEWNS | system.NEWPID | system.NEWNET | system.NEWIPC | system.NEWUTS
    system.do("unshare", new if uid == 0 else new | system.NEWUSER)
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    system.mount(None, "/", None, system.REC | system.PRIVATE, None)


def _build(root: str, course: Path) -> None:
    """The files of the container, and its own loopback: nbgrader talks to its kernel over TCP."""
    system.mount("tmpfs", root, "tmpfs", system.NOSUID | system.NODEV, ROOM)
    os.makedirs(f"{root}{course.parent}")
    # holes, links and pipes as they are
    subprocess.run(["cp", "-a", "--sparse=always", str(course), f"{root}{course}"], check=True)
    shown = {*SHOWN, sys.base_prefix, sys.prefix, os.path.realpath(sys.prefix), str(ROOT)}
    for path in sorted(shown, key=len):  # a folder before what lies in it, which is then there already
        if os.path.islink(path):
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            os.symlink(os.readlink(path), root + path)
        elif os.path.exists(path) and not os.path.exists(root + path):
            system.show(path, root + path, read_only=True)
    for path in DEVICES:
        system.show(path, root + path, read_only=False)
    for folder in ("/proc", "/dev/shm", "/tmp", "/home"):
        os.makedirs(root + folder, exist_ok=True)
        os.chmod(root + folder, 0o1777)
    system.mount("proc", root + "/proc", "proc", system.NOSUID | system.NODEV, None)
    os.chdir(root)
    system.do("pivot_root", b".", b".")
    system.do("umount2", b".", 2)
    for folder, _, files in os.walk(course) if os.geteuid() == 0 else ():
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            os.chown(path, USER, USER, follow_symlinks=False)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP


def _confine(tasks: int) -> None:
    """In nbgrader's process, before it starts."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
    system.limit(MEMORY, PROCESSES + tasks)
    system.prctl(system.NO_NEW_PRIVS, 1)
    system.drop_capabilities()


def _grade(course: Path, assignment: str, slug: str, student: str, mark: str, tasks: int) -> str:
    before = _others_files(course, student)
    command = [sys.executable, "-m", "nbgrader", "autograde", assignment, "--student", student]
    environment = os.environ | {"HOME": "/home", "OMP_NUM_THREADS": "1"}
    nbgrader = subprocess.Popen(
        [*command, f"--Execute.timeout={CELL_SECONDS}"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: _confine(tasks),
    )
    try:
        ended = nbgrader.wait(SECONDS)
    except subprocess.TimeoutExpired:
        return "hangs"
    stayed = any(
        mark in _command_line(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"
    )
    try:
        os.kill(-1, signal.SIGKILL)  # everybody in here but this process
    except ProcessLookupError:
        pass
    after = _others_files(course, student)
    if ended < 0 or stayed or any(after.get(file) != content for file, content in before.items()):
        return "harms"
    graded = course / "autograded" / student / assignment / f"{slug}.ipynb"
    if ended or not graded.exists():
        return "no result"
    outputs = [cell.get("outputs", []) for cell in json.loads(graded.read_text(encoding="utf-8"))["cells"]]
    if "LEAK" in json.dumps(outputs):
        return "leaks"
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        return f"{book.find_submission_notebook(slug, assignment, student).code_score:g}"


def _others_files(course: Path, student: str) -> dict[str, bytes]:
    """What belongs to nobody's submission but others': their work, the solutions, the teacher's notes."""
    files = [file for file in course.rglob("*") if file.is_file() and not file.is_symlink()]
    mine = [file for file in files if student not in file.parts and file.name != "gradebook.db"]
    return {str(file): file.read_bytes() for file in mine if ".ipynb_checkpoints" not in file.parts}


def _command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


if __name__ == "__main__":
    main()

"""Formgrader made safe where it would act for a student: called from `course/nbgrader_config.py`.

    guard()     # in a Jupyter server; elsewhere it changes nothing

* The Autograde bolt runs `course grade`, in the sandbox, and not stock grading with the teacher's rights.
* A submission's page asks no other machine for anything, and no link in an answer leads to this server.
* No configuration is read from a folder that students' files lie in: to nbgrader that is a program.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from course.lesson import ROOT

PACKAGE = "nbgrader.server_extensions.formgrader"
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-src 'none'; frame-ancestors 'self'"
)
HANDED_IN = {"submitted", "autograded", "feedback"}


def guard() -> None:
    """Change formgrader's handlers, if this process has them."""
    api, pages = (sys.modules.get(f"{PACKAGE}.{name}") for name in ("apihandlers", "handlers"))
    if api is None or pages is None or getattr(api.AutogradeHandler, "is_guarded", False):
        return
    from nbgrader.server_extensions.formgrader.base import check_notebook_dir, check_xsrf
    from tornado import web

    @web.authenticated
    @check_xsrf
    @check_notebook_dir
    def post(self, assignment_id: str, student_id: str) -> None:
        self.write(json.dumps(graded(Path(self.coursedir.root), assignment_id, student_id)))

    def write(self, chunk: object) -> None:
        if isinstance(chunk, str):
            self.set_header("Content-Security-Policy", POLICY)
            chunk = without_links_to(self.request.host, chunk)
        super(pages.SubmissionHandler, self).write(chunk)

    read_settings = pages.FormgraderHandler.get

    def get(self) -> object:
        if HANDED_IN & set(Path(self.get_argument("path", "")).parts):
            raise web.HTTPError(403)
        return read_settings(self)

    api.AutogradeHandler.post, api.AutogradeHandler.is_guarded = post, True
    pages.SubmissionHandler.write = write
    pages.FormgraderHandler.get = get


def graded(root: Path, assignment: str, student: str) -> dict:
    """Run `course grade` for one student; what formgrader shows of it."""
    command = [sys.executable, "-m", "course.cli", "grade", f"--students={student}", "--", assignment]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command, cwd=root, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True
    )
    if done.returncode == 0:
        return {"success": True, "log": done.stdout}
    return {"success": False, "log": done.stdout, "error": done.stderr or done.stdout}


def without_links_to(host: str, page: str) -> str:
    """The page without absolute links to its own server: formgrader itself makes none."""
    name = re.escape(host.partition(":")[0])
    return re.sub(rf'href="https?://{name}(?=[:/"?#])[^"]*"', "", page, flags=re.IGNORECASE)

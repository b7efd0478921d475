"""nbgrader's Validate in a process of its own: meanwhile the server answers, and says which cell runs.

    watch_validate(server)       # the button's request comes here; GET course/validating?path=… tells where
    python -m course.landing.validating ROOT NOTEBOOK   # that process: a line a cell, then the result, JSON

Without it nbgrader runs the notebook in the server itself, which then saves nothing and answers nobody.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from nbgrader.server_extensions.validate_assignment.handlers import ValidateAssignmentHandler
from tornado import web

from course.messages import message

LINE = 1 << 24  # bytes: a result holds the tracebacks of every failed cell

_running: dict[str, list[int]] = {}  # notebook → code cell that runs, of how many


def watch_validate(server: Any) -> None:
    """Let the Validate button of this JupyterLab server run its notebooks apart and tell how far they are."""
    ValidateAssignmentHandler.post = _post
    base = server.web_app.settings["base_url"]
    server.web_app.add_handlers(".*$", [(url_path_join(base, "course/validating"), Progress)])


class Progress(APIHandler):
    """`{"cell": 12, "of": 44}` of the notebook that is being validated; `{}` if none of that name is."""

    @web.authenticated
    def get(self) -> None:
        """Answer for `?path=`, as the button's own request names it."""
        at = _running.get(self.get_argument("path"))
        self.finish(json.dumps(dict(zip(("cell", "of"), at, strict=True)) if at else {}))


@web.authenticated
async def _post(self: ValidateAssignmentHandler) -> None:
    path = self.get_argument("path", None) or self.get_json_body()["path"]
    self.finish(json.dumps(await validated(self.root_dir, path)))


async def validated(root: str, path: str) -> dict[str, Any]:
    """Validate a notebook below `root` in another process; return what nbgrader's own handler answers."""
    command = [sys.executable, "-m", "course.landing.validating", root, path]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, limit=LINE)
    result = {"success": False, "value": message("learn.validate-ended")}
    try:
        async for line in process.stdout:
            said = json.loads(line)
            if "cell" in said:
                _running[path] = [said["cell"], said["of"]]
            else:
                result = said
        await process.wait()
    finally:
        _running.pop(path, None)
        if process.returncode is None:
            process.terminate()
    return result


class _Apart(ValidateAssignmentHandler):
    """nbgrader's handler without a request: it validates what it is given, and prints each cell's place."""

    root_dir = log = None

    def __init__(self, root: str, path: str):
        self.root_dir, self.log = root, logging.getLogger("validate")
        cells = nbformat.read(Path(root) / path, as_version=4).cells
        self.places = [place for place, cell in enumerate(cells) if cell.cell_type == "code"]

    def load_config(self) -> Any:
        config = super().load_config()
        config.Execute.on_cell_execute = self.tell
        return config

    def tell(self, cell: Any, cell_index: int) -> None:
        _say({"cell": self.places.index(cell_index) + 1, "of": len(self.places)})


def _say(said: dict[str, Any]) -> None:
    print(json.dumps(said), file=_OUT, flush=True)


if __name__ == "__main__":
    _OUT, sys.stdout = sys.stdout, sys.stderr  # nothing else may print between our lines
    apart = _Apart(*sys.argv[1:])
    _say(apart.validate_notebook(sys.argv[2]))

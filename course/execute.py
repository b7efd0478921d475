"""Run a solution notebook once and keep only the outputs that do not depend on machine or run.

Kept: outputs in order, execution counts. Dropped: timings, widget models (their ids are random; the picture
under a playground stays), versions. Refused: an output that names a folder of this machine or an object's
address.
"""

from __future__ import annotations

import copy
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from course.lesson import ROOT
from course.messages import CourseError, one_line

CELL_SECONDS = 300  # far above the 20 s that a cell should take: a slow machine is no error

_WIDGET = "application/vnd.jupyter.widget-view+json"
_ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}")


def by_the_wall(client: NotebookClient) -> float:
    """Return the seconds of a clock on the wall."""
    return time.monotonic()


def execute(
    notebook: NotebookNode, name: str, clock: Callable[[NotebookClient], float] = by_the_wall
) -> tuple[NotebookNode, dict[str, float]]:
    """Return the executed notebook, and the seconds that each code cell took by cell id, as `clock` counts.

    Raises:
        CourseError: a cell fails, takes too long, or prints what differs from machine to machine.
    """
    notebook = copy.deepcopy(notebook)
    seconds: dict[str, float] = {}
    started = [0.0]

    def on_start(cell: NotebookNode, cell_index: int) -> None:
        started[0] = clock(client)

    def on_done(cell: NotebookNode, cell_index: int, execute_reply: dict) -> None:
        seconds[cell.id] = clock(client) - started[0]

    with tempfile.TemporaryDirectory(prefix="lesson-") as folder:
        nbformat.write(notebook, Path(folder) / f"{name}.ipynb")  # the kernel reads its language from there
        client = NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
            store_widget_state=False,
            extra_arguments=["--log-level=ERROR"],  # a kernel warns about its own transport at every start
            on_cell_start=on_start,
            on_cell_executed=on_done,
        )
        try:
            client.execute()
        except AssertionError:
            if client.km is None:  # on Ctrl-C, nbclient takes its kernel down, and then once more
                raise KeyboardInterrupt from None
            raise
        except CellExecutionError as error:
            cell = _failed(notebook)
            raise CourseError("build.cell-failed", notebook=name, cell=cell, error=_cause(error)) from None
        except (CellTimeoutError, DeadKernelError) as error:
            raise CourseError("build.cell-stopped", notebook=name, error=one_line(error)[:300]) from None
        clean(notebook, name, folder)
    return notebook, seconds


def clean(notebook: NotebookNode, name: str, folder: str) -> None:
    """Drop the volatile parts of the outputs, in place.

    Raises:
        CourseError: an output names `folder`, the repository or the home folder, or an object's address.
    """
    private = [str(Path(folder).resolve()), folder, str(ROOT), str(Path.home())]
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        cell.outputs = _joined(output for output in cell.outputs if _WIDGET not in output.get("data", {}))
        for output in cell.outputs:
            text = "".join(_texts(output))
            if any(path in text for path in private if len(path) > 1) or _ADDRESS.search(text):
                raise CourseError("build.volatile", notebook=name, cell=cell.id)
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}


def _joined(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """A text that a busy machine sent in pieces is one again; nbclient would carry it past pictures, too."""
    joined = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _texts(output: NotebookNode):
    yield output.get("text", "")
    for kind, data in output.get("data", {}).items():
        if kind.startswith("text/") or kind == "image/svg+xml":
            yield data


def _failed(notebook: NotebookNode) -> str:
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    return next((c.id for c in cells if any(o.output_type == "error" for o in c.outputs)), "?")


def _cause(error: CellExecutionError) -> str:
    return one_line(f"{error.ename}: {error.evalue}")[:300]

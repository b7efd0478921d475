"""Open the course in JupyterLab: what `make learn` and `make aprender` run.

    python -m course.learn [--lang en|es] [--no-browser] [--port N]

The server listens on 127.0.0.1 with a token and starts in the root of the repository. Its settings are the
files of `course/landing/jupyter*`; whatever JupyterLab writes (the learner's preferences, its log) goes to
`.jupyter/`, so that it shares nothing with a JupyterLab that the learner may have besides. The landing page
is written again at each start.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys

from course.lesson import ROOT
from course.messages import CourseError, message
from minigpt.cli.command_line import answer
from minigpt.cli.parser import Arguments, Parser
from minigpt.messages import language, reason_of

DEFAULT_PORT = 8888  # JupyterLab's own
SETTINGS = ROOT / "course" / "landing"
PRIVATE = ROOT / ".jupyter"
# What a kernel answers while a cell runs: "idle" after one of these does not mean that the cell is through.
BESIDE_A_CELL = [
    *("comm_open", "comm_msg", "comm_close", "create_subshell_request", "delete_subshell_request"),
    *("list_subshell_request", "complete_request", "inspect_request", "history_request"),
]
KERNEL_SETTINGS = 'c = get_config()\nc.InteractiveShellApp.extensions = ["course.kernel_errors"]\n'


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C; return the exit status: 0, or 2 after a sentence about what is wrong."""
    return answer(_run, sys.argv[1:] if arguments is None else arguments)


def _run(words: list[str]) -> int:
    options = _parse(words)
    return serve(port=options.port, browser=not options.no_browser)


def serve(port: int | None, browser: bool) -> int:
    """Write the landing page, start JupyterLab on it, print its address on one line, and serve until Ctrl-C.

    Without a port, the first free one near `DEFAULT_PORT` is taken.

    Raises:
        CourseError: the port asked for is not free.
    """
    if port is not None:
        _require_free(port)
    from course.landing import saved, write_pages  # takes seconds to import, in which Ctrl-C shall work
    from course.landing.validating import watch_validate
    from course.landing.words import add_words, buttons, names

    page = write_pages(ROOT)[language()]
    os.environ.update(_private_folders())
    os.chdir(ROOT)  # where the settings say that the log goes
    from jupyterlab.labapp import LabApp  # after the environment, which it reads as it is imported

    token = secrets.token_hex(16)
    server = LabApp.initialize_server(
        [
            f"--ServerApp.root_dir={ROOT}",
            f"--LabApp.default_url=/lab/tree/{page.name}",
            f"--ServerApp.port={port or DEFAULT_PORT}",
            f"--ServerApp.port_retries={0 if port else 50}",
            f"--ServerApp.open_browser={browser}",
            f"--ServerApp.allow_root={getattr(os, 'geteuid', lambda: 1)() == 0}",
            f"--IdentityProvider.token={token}",
        ],
    )
    server.contents_manager.register_post_save_hook(saved)
    server.kernel_manager.untracked_message_types += BESIDE_A_CELL
    words = server.web_app.settings.setdefault("page_config_data", {})  # of the extension in labextensions/
    words["courseStillRunning"] = message("learn.still-running")
    words["courseButtons"] = buttons(language())
    words["courseNames"] = names(language())
    # there is nothing to build, and each page would start Node to ask
    words["buildAvailable"] = words["buildCheck"] = False
    add_words()
    watch_validate(server)
    address = f"http://127.0.0.1:{server.port}/lab/tree/{page.name}?token={token}"
    server.io_loop.add_callback(_announce, address, server.port, port)  # runs once the server listens
    signal.signal(signal.SIGINT, lambda *_: server.stop(from_signal=True))  # asks nothing, ends the kernels
    server.start()
    print(message("learn.stopped"))
    return 0


def _parse(words: list[str]) -> Arguments:
    parser = Parser(
        "python -m course.learn", message("learn.description"), language_help=message("learn.help-lang")
    )
    parser.add_argument("--no-browser", action="store_true", help=message("learn.help-no-browser"))
    parser.add_argument("--port", metavar="N", help=message("learn.help-port", port=DEFAULT_PORT))
    options = parser.parse_args(words)
    if options.port is not None:
        if not options.port.isdecimal() or not 1 <= int(options.port) <= 65535:
            raise CourseError("learn.port-not-one", given=options.port)
        options.port = int(options.port)
    return options


def _announce(address: str, port: int, wanted: int | None) -> None:
    if port != (wanted or DEFAULT_PORT):
        print(message("learn.port-taken-another", port=DEFAULT_PORT, other=port))
    print(message("learn.ready", address=address), flush=True)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server itself does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CourseError("learn.port-taken", port=port, reason=reason_of(error)) from None


def _private_folders() -> dict[str, str]:
    """The environment that makes JupyterLab read the course's settings and keep its files in `.jupyter/`."""
    settings = [SETTINGS / "jupyter"]
    if language() != "en":
        settings.insert(0, SETTINGS / f"jupyter-{language()}")
    profile = PRIVATE / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_config.py").write_text(KERNEL_SETTINGS, encoding="utf-8")
    (PRIVATE / "jupyter.log").unlink(missing_ok=True)
    return {
        "JUPYTER_CONFIG_PATH": os.pathsep.join(map(str, settings)),
        "JUPYTER_CONFIG_DIR": str(PRIVATE / "config"),
        "JUPYTER_DATA_DIR": str(PRIVATE / "data"),
        "JUPYTER_RUNTIME_DIR": str(PRIVATE / "runtime"),
        "IPYTHONDIR": str(PRIVATE / "ipython"),
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
        "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel is this environment's, whatever else is installed
    }


if __name__ == "__main__":
    sys.exit(main())

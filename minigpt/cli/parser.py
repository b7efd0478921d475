"""The parser of every command: flags, YAML files, MINIGPT_… variables, and errors in one sentence."""

from __future__ import annotations

import re
from typing import NoReturn

from jsonargparse import ArgumentParser

from minigpt.messages import MiniGPTError, nearest


class UsageError(MiniGPTError):
    """A command line that cannot be understood."""


class Parser(ArgumentParser):
    """jsonargparse's parser; what it refuses becomes a `UsageError`."""

    def __init__(self, **settings):
        super().__init__(
            default_env=True, env_prefix="MINIGPT", print_config=None, allow_abbrev=False, **settings
        )

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        detail = str(ex or message)
        unknown = re.search(r"unrecognized arguments: (\S+)", detail)
        if unknown:
            hint = nearest(unknown[1].split("=")[0], self._option_string_actions)
            raise UsageError("general.unknown-option", given=unknown[1], prog=self.prog, hint=hint)
        key = re.search(r"(?:option|[Kk]ey) '([\w.-]+)'(?: is not expected)?", detail)
        if key and ("not accept" in detail or "not expected" in detail):
            hint = nearest(key[1], [action.dest for action in self._actions])
            raise UsageError("config.unknown-key", key=key[1], hint=hint)
        raise UsageError("general.bad-arguments", prog=self.prog, detail=" ".join(detail.split()))

"""The rows of what a trainer prints while it trains, where each line names its numbers.

    for number, row in console_rows(lines, {}, Notes()): ...     # "iter 10: loss 3.2" is {"iter": "10", …}

So print nanoGPT, Megatron-LM, torchtitan, llm.c, fairseq, Hugging Face's Trainer and most loops of one's own.
A line without a number that the check looks at is no row. Blocks of indented lines below a step, tables with
a header, and the numbers behind a progress bar are rows too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from minigpt.runs.importers.dialects import as_named
from minigpt.runs.importers.names import BAR, EPOCH, NAMES, OF, SAME, counts_steps, matters, plain
from minigpt.runs.importers.notes import Notes
from minigpt.runs.importers.passes import Passes
from minigpt.runs.importers.printed_tables import PrintedTable

LLM_C = {"s": "step", "trl": "loss", "tel": "val_loss", "norm": "grad_norm"}  # short names of its main.log
MEGATRON = {"validation loss at iteration": "step", "lm loss value": "val_loss"}
MARIAN = {"up.": "step", "cost": "loss", "ep.": "epoch", "l.r.": "lr"}
DIALECTS = {
    "trl": LLM_C,
    "tel": LLM_C,
    "lm loss value": MEGATRON,
    "up.": MARIAN,
}  # by a name nobody else uses
NOT_TRAINING = re.compile(r"(?i)\b(val|valid|validation|eval|evaluation|test|dev|validaci[oó]n)\b")
COLOUR = re.compile(
    r"\x1b\[[\d;?]*[A-Za-z]|(?<!\w)\[\d{1,3}(?:;\d{1,3})*m"
)  # also where a paste lost its escape
WORD = r"(?i:[-+]?nan|[-+]?inf|[-+]?infinity)"
WORD += r"(?=\s*(?:[,;:|(){}\]\"']|$|\.(?:\s|$)|\s[A-Za-z]|\s-\s))"  # not “nan iterations: 0”
NUMBER = rf"[-+]?(?:[\d.][\w.+-]*(?:,\d{{3}}(?!\d))*|{WORD})"
WRAPPED = r"(?:(?:tensor|array|np\.float\d\d|Array)?[\[(]{1,2}\s{0,20})?"  # lr=[0.001], loss=tensor(2.5
NAMED = re.compile(  # a name is all the words before its number, so that “aux loss” is not “loss”
    r"""(?<![\w.])(?P<quote>["']?)(?P<name>[^\W\d](?:[\w./ -]|:(?=[A-Za-z])){0,80}?)(?P=quote)"""
    rf"""(?:\s{{0,80}}(?:[:=]|->)\s{{0,80}}["']?|\s{{1,80}}(?=[\[\d.+-]|(?i:nan|inf))){WRAPPED}(?P<number>{NUMBER})"""
)
SOURCE = re.compile(r"(.* - |[A-Z]+:[\w.]+:)")  # date, name and level, as loggers write them before a message
FRACTION = re.compile(
    r"(?<![\w.:/-])(\d{1,12})\s{0,20}/\s{0,20}(\d{1,12})(?![\w./:]|\s{0,20}/|\s+\d\d:\d)"
)  # no date
LEADING = re.compile(
    r"\s{0,40}\[?(\d{1,12})\]?(?:\s{0,9}[|:,-]\s{0,9}|\s{1,9})(?=[A-Za-z])"
)  # “250 train 5.58”
IN_EPOCH = re.compile(
    r"(?i)\b(?:epochs?(?:\s?\(\w{1,20}\))?|[eé]pocas?|train(?=: ?\d+ \[))"
    r"\s{0,9}[:#=]?\s{0,9}[\[(]?\s{0,9}(\d{1,6})\b(?!\.)"
)
OF_EPOCHS = re.compile(r"(?i)(?:epochs?|[eé]pocas?)\s{0,20}[:=#]?\s{0,20}[\[(]?\s{0,20}$")
OF_LOSS = re.compile(r"(?i)\bloss\s{0,5}[(\[](train|training|val|valid|validation|eval)[)\]]")
BAR_OF = re.compile(r"(\d{1,12})/(\d{1,12})\s{0,5}\[[\d:?]")  # as tqdm draws it, “10/532 [00:15<2:00”
BLOCK = re.compile(
    r"\[\s*(?:eval\s+)?(?:step|batch|iter|iteration)\s*[=:]\s*(\d+)(?:/(\d+))?[^\]]*\]:?\s*$", re.IGNORECASE
)
FRAME = "┌│└"
SECTION = re.compile(r"(?i)^(train|eval)\s+(?=[\w./-]+[:=])")  # how Composer begins each line of a block
EVERY = re.compile(r"(?i)\blogging_steps[\"']?\s{0,9}[=: ]\s{0,9}(\d+)")
ALL = re.compile(r"(?i)\bTotal optimization steps\s{0,9}[=:]\s{0,9}([\d,]+)")
EPOCHS = re.compile(r"(?i)\bNum Epochs\s{0,9}[=:]\s{0,9}([\d,]+)")
OVERFLOW = re.compile(  # DeepSpeed's, and apex's words for an overflow of float16
    r"(?i)overflow.{0,120}?(?:loss scale: ?([\d.e+]{1,20}), )?reducing (?:loss scale )?to ([\d.e+-]{1,20})"
)
PARTS = re.compile(r"(?i)\[(train|training|val|valid|validation|eval|dev|test)\]")
RANK = re.compile(r"\s{0,3}\[?(\d{1,4})\]?: ")  # how srun and mpirun begin each line
SUMMARY = {"train_runtime", "train_samples_per_second", "total_flos"}  # of the whole run, at its end
COMPARED = {EPOCH}.union(*NAMES.values())  # columns by which a record is known again
COUNTED = re.compile(r"0*(\d+)(?:\.0)?(?:$|/)")
THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+$")


def named_numbers(line: str) -> dict[str, str]:
    """Return the numbers of a line by the name before each, both as text."""
    found = {}
    for match in NAMED.finditer(line):
        name = SOURCE.sub("", match["name"], count=1).strip()
        found.setdefault(name, match["number"].rstrip(".-+"))
    return found


def console_rows(
    lines: Iterable[tuple[int, str]], asked: Mapping[str, str], notes: Notes
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield the rows among lines, each with the number of its line; `asked` as in `rows_of`."""
    reader = _Reader(asked, notes)
    for number, line in lines:
        parts = line.split("\r")
        if not line.endswith("\n"):
            parts.pop()  # torn by a kill
        for part in parts:
            yield from reader.rows(number, COLOUR.sub("", part))
    yield from reader.rest()


class _Reader:
    """Remembers what the lines before say about the next one."""

    def __init__(self, asked: Mapping[str, str], notes: Notes):
        self._asked, self._notes = asked, notes
        self._matters: dict[str, bool] = {}
        self._block: tuple[int, dict[str, str]] | None = None
        self._epoch: str | None = None  # named by a line of its own, as Keras does
        self._bar: tuple[str, str] | None = None  # count and total of the bar of the whole run
        self._passes = Passes()
        self._table = PrintedTable(asked)
        self._last: tuple[str, dict[str, str]] = "", {}
        self._ranked = False  # whether each line begins with the number of its process

    def rows(self, number: int, part: str) -> Iterator[tuple[int, dict[str, str]]]:
        if not part.strip():
            return
        if (header := BLOCK.search(part)) and not self._measures(part):
            yield from self.rest()
            if header[2]:
                self._notes.total = int(header[2])
            evaluates = part.lower().lstrip(" |").startswith("[eval")
            self._block = number, {} if evaluates else {"step": header[1]}
            return
        if part[0] == FRAME[0]:  # as Julia begins a message of several lines
            yield from self.rest()
            self._block = number, self._named(part[1:])
            return
        if self._block is not None:
            if part[0] in f" \t{FRAME}":
                found = self._named(SECTION.sub("", part.strip(f" \t{FRAME}")))
                counted = any(counts_steps(name, self._asked) for name in self._block[1])
                told = {k: v for k, v in found.items() if not (counted and counts_steps(k, self._asked))}
                self._block[1].update(told)
                return
            yield from self.rest()
        if (row := self._table.row(part)) is not None:
            if row:
                yield number, row
            return
        self._settings(part)
        row = self._named(part)
        if bar := BAR_OF.search(part):
            if self._bar is None or bar[2] == self._bar[1]:
                self._bar = bar[1], bar[2]
            row = {name: value for name, value in row.items() if not name.isdigit()}
        if EPOCH not in map(str.lower, row) and (epoch := IN_EPOCH.search(part)):
            row[EPOCH] = epoch[1]
        if not any(map(self._looked_at, row)) or SUMMARY & row.keys():
            self._epoch = next((v for n, v in row.items() if plain(n) == EPOCH), self._epoch)
            return
        self._place(part, row, bar)
        if bar and (passes := self._passes.after(int(bar[1]), int(bar[2]), row)) and EPOCH not in row:
            row[EPOCH] = str(passes)
        if self._repeats(part, row):
            row[SAME] = "1"
        yield number, row

    def _measures(self, part: str) -> bool:
        """Return whether a line holds more than the step and the epoch."""
        return any(self._looked_at(n) and not counts_steps(n, self._asked) for n in self._named(part))

    def rest(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the block that the lines so far make up."""
        if self._block is not None and any(map(self._looked_at, self._block[1])):
            yield self._block
        self._block = None

    def _named(self, part: str) -> dict[str, str]:
        pieces = PARTS.split(part) if "[" in part else ()
        if len(pieces) > 4:  # “[train] loss=2.1, [valid] loss=2.4”
            found = self._named_in(pieces[0])
            for word, piece in zip(pieces[1::2], pieces[2::2], strict=True):
                held_out = NOT_TRAINING.fullmatch(word)
                told = self._named_in(piece)
                found |= {f"{word} {name}": value for name, value in told.items()} if held_out else told
            return found
        return self._named_in(part)

    def _named_in(self, part: str) -> dict[str, str]:
        part = as_named(OF_LOSS.sub(r"\1 loss", part))
        row = named_numbers(part)
        names = next((DIALECTS[name.lower()] for name in row if name.lower() in DIALECTS), {})
        looked = NOT_TRAINING.search(part)
        ours = filter(self._looked_at, row)  # not “eval step 10: loss 3.2”
        if looked and not names and not any(NOT_TRAINING.search(name.replace("_", " ")) for name in ours):
            names = {"loss": f"{looked[1]} loss"}  # “[eval] step 10 loss 3.2”
        row = {names.get(name.lower(), name): value for name, value in row.items()}
        for name, value in row.items():
            if THOUSANDS.match(value) and (counts_steps(name, self._asked)):
                row[name] = value.replace(",", "")  # as “{step:,}” prints a thousand
        return row

    def _looked_at(self, name: str) -> bool:
        if name not in self._matters:
            self._matters[name] = matters(name, self._asked)
        return self._matters[name]

    def _place(self, part: str, row: dict[str, str], bar: re.Match[str] | None) -> None:
        """Add the step of a row that does not name it: “500/20000”, or how far the bar had come."""
        named = next((v for n, v in row.items() if counts_steps(n, self._asked) and COUNTED.match(v)), None)
        found, rank = [bar] if bar else FRACTION.finditer(part), RANK.match(part)
        for fraction in found:
            if bar is None and OF_EPOCHS.search(part[: fraction.start()]):
                continue
            if named is None:
                row |= {"step": fraction[1], OF: fraction[2]}
            elif COUNTED.match(named)[1] == fraction[1]:
                row[OF] = fraction[2]
            else:
                continue
            if EPOCH not in map(str.lower, row) and self._epoch is not None:
                row[EPOCH] = self._epoch
            self._ranked |= rank is not None and rank[1] != fraction[1]
            return
        self._ranked |= None not in (rank, named) and rank[1] != COUNTED.match(named)[1]
        if named is None and not self._ranked and (first := LEADING.match(part)):
            row["step"] = first[1]
        elif named is None and self._bar:
            row[BAR] = self._bar[0]

    def _repeats(self, part: str, row: dict[str, str]) -> bool:
        """Return whether a second logger prints, behind its own prefix, the record just read."""
        brace = part.find("{")
        if brace < 0:
            return False
        before, self._last = self._last, (part[:brace].strip(), row)
        shared = [name for name in row if name in before[1] and plain(name) in COMPARED]
        if bool(self._last[0]) == bool(before[0]) or not shared:
            return False
        if not all(_near(row[name], before[1][name]) for name in shared):
            return False
        self._last = "", {}  # what comes next repeats neither
        return True

    def _overflow(self, scale: str | None, reduced: str) -> None:
        try:
            after = float(reduced.rstrip(".-+"))
            self._notes.overflow(2 * after if scale is None else float(scale.rstrip(".,")), after)
        except ValueError:
            pass  # no number after all

    def _settings(self, part: str) -> None:
        if "ogging_steps" in part and (every := EVERY.search(part)) and int(every[1]):
            self._notes.spacing = int(every[1])
        elif "otal optimization steps" in part and (steps := ALL.search(part)):
            self._notes.total = int(steps[1].replace(",", ""))
        elif ("verflow" in part or "VERFLOW" in part) and (skipped := OVERFLOW.search(part)):
            self._overflow(*skipped.groups())
        elif "um Epochs" in part and (epochs := EPOCHS.search(part)):
            self._notes.epochs = float(epochs[1].replace(",", ""))


def _near(one: str, other: str) -> bool:
    try:
        a, b = float(one), float(other)
    except ValueError:
        return one == other
    return a == b or (a != a and b != b) or abs(a - b) <= 1e-3 * max(abs(a), abs(b)) + 5e-5

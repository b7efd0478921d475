"""A patient's evidence, and beside it the questions of the trees, to be asked on a budget or in order.

    Bedside({"A": run_a, "B": run_b}).show()      # runs as `minigpt.training.trainer.train` returns them

On a budget, any question may be asked at any time, and each costs credits (course/credits.py). In order, the
trees are walked question by question, for nothing. Either way it shows what was measured and the limits,
never the verdict: that is the learner's to give. Below the chosen leaf, right or wrong, stands what it means,
and how to tell it from the leaves that look like it. Questions without an answer are left out. All controls
work with the mouse and with the keyboard (Tab, Enter; arrows in lists). Without a running kernel the first
patient's picture remains.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping

import ipywidgets
from IPython import get_ipython
from matplotlib.figure import Figure

from course.credits import CREDITS, QUESTIONS, Examination, apart
from course.messages import message
from course.picture import Picture
from course.reload import follow
from course.widgets import show_controls
from minigpt import diagnosis
from minigpt.diagnosis.report import seen
from minigpt.diagnosis.tree import Finding, Question
from minigpt.faults import FAULTS
from minigpt.messages import message as stability_message
from minigpt.runs.run import Run

BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
HEALTHY = "healthy"  # a diagnosis that is no leaf
_WIDTH = "min(800px, 98%)"  # of a notebook in a small window
_THREE_LINES = {"width": _WIDTH, "min_height": "72px"}  # so that the buttons below stay where they are
_WRAPPED = {"flex_flow": "row wrap"}
_ALIKE = 4  # leaves that are told apart, at most


class Bedside:
    """Ask about one patient at a time, on a budget or in order; keep the answers of each patient."""

    def __init__(self, runs: Mapping[str, Run]):
        self.runs = dict(runs)
        self.examinations = {name: Examination(run) for name, run in self.runs.items()}
        self.findings = {name: [*known.findings.values()] for name, known in self.examinations.items()}
        self.at = dict.fromkeys(self.runs, 0)  # how many questions were answered with “fine”
        self.diagnoses: dict[str, str] = {}  # leaf by patient, where somebody said “it breaks here”
        self.guesses: dict[str, str] = {}  # leaf or HEALTHY by patient, on the budget
        button = {"layout": {"width": "220px"}}
        self.patient = ipywidgets.ToggleButtons(
            options=list(self.runs), description=message("bedside.patient"), style={"button_width": "60px"}
        )
        self.way = ipywidgets.ToggleButtons(
            options=[(message(f"bedside.way-{name}", credits=CREDITS), name) for name in ("budget", "order")],
            description=message("bedside.way"),
            style={"button_width": "190px"},
        )
        self.text = ipywidgets.HTML(layout=_THREE_LINES)
        self.back = ipywidgets.Button(description=message("bedside.back"), layout={"width": "90px"})
        self.fine = ipywidgets.Button(description=message("bedside.fine"), **button)
        self.broken = ipywidgets.Button(description=message("bedside.broken"), **button)
        self.leaf = ipywidgets.Dropdown(description=message("bedside.leaf"), layout={"width": "360px"})
        self.asking = ipywidgets.Dropdown(
            description=message("bedside.ask"), layout={"width": "min(640px, 98%)"}
        )
        self.ask = ipywidgets.Button(**button)
        self.answers = ipywidgets.HTML(layout=_THREE_LINES)
        self.guess = ipywidgets.Dropdown(description=message("bedside.guess"), layout={"width": "360px"})
        self.decide = ipywidgets.Button(layout={"width": "auto", "min_width": "220px"})
        self.outcome = ipywidgets.HTML(layout={"width": _WIDTH})
        self.overview = ipywidgets.HTML()
        self.by_order = ipywidgets.VBox(
            [self.text, ipywidgets.HBox([self.back, self.fine, self.broken], layout=_WRAPPED), self.leaf]
        )
        self.on_budget = ipywidgets.VBox(
            [self.asking, self.ask, self.answers, ipywidgets.HBox([self.guess, self.decide], layout=_WRAPPED)]
        )
        self._picture = Picture()
        self._drawn: str | None = None  # whose picture is shown
        self._refreshing = False
        for control in (self.patient, self.way, self.asking):
            control.observe(lambda change: self._refreshing or self.refresh(), names="value")
        self.leaf.observe(lambda change: self._choose(change["new"]), names="value")
        self.back.on_click(lambda _: self._move(-1))
        self.fine.on_click(lambda _: self._move(1))
        self.broken.on_click(lambda _: self._break())
        self.ask.on_click(lambda _: self._ask())
        self.decide.on_click(lambda _: self._decide())
        self.guess.observe(lambda _: self._name_decision(), names="value")

    @property
    def question(self) -> Question | None:
        """The current question about the current patient, in order; None after the last one."""
        findings, at = self.findings[self.patient.value], self.at[self.patient.value]
        return _question(findings[at]) if at < len(findings) else None

    def show(self) -> None:
        """Show the controls, and the picture below them."""
        if get_ipython() is not None:
            shown = [self.patient, self.way, self.on_budget, self.by_order, self.outcome, self.overview]
            show_controls([*shown, follow(self._picture)])
        self.refresh()

    def refresh(self) -> None:
        """Write questions, evidence and outcome for the current patient, and draw its curves."""
        self._refreshing = True  # putting the leaves of another question in place is no choice
        try:
            budget = self.way.value == "budget"
            self.on_budget.layout.display = "" if budget else "none"
            self.by_order.layout.display = "none" if budget else ""
            lines = self._write_budget() if budget else self._write_order()
            self.outcome.value = _lines(*(_with_code(line) for line in lines))
            self.overview.value = html.escape(" · ".join(f"{name}: {self._said(name)}" for name in self.runs))
        finally:
            self._refreshing = False
        patient = self.patient.value
        if patient != self._drawn:
            self._picture.show(self.figure(), message("bedside.picture", patient=patient))
            self._drawn = patient

    def figure(self) -> Figure:
        """Draw loss, gradient norm and learning rates of the current patient."""
        run = self.runs[self.patient.value]
        columns = run.columns
        figure = Figure(figsize=(8.4, 2.1), layout="constrained")
        loss, norm, rate = figure.subplots(1, 3)
        chance = math.log(run.config.vocab_size)
        loss.axhline(chance, color="black", linestyle="--", linewidth=1, label=f"ln V = {chance:.2f}")
        loss.plot(*columns.column("loss"), color=BLUE)
        steps, values = columns.column("val_loss")
        loss.plot(steps, values, "o", color=ORANGE, markersize=4, label=message("bedside.validation"))
        loss.legend(fontsize=7)
        norm.plot(*columns.column("grad_norm"), color=ORANGE)
        norm.set_yscale("symlog", linthresh=1e-3)
        groups = [name for name in columns.names() if name.startswith("lr.")]
        for group, style in zip(groups, ("-", "--", ":", "-."), strict=False):
            rate.plot(*columns.column(group), style, color=GREEN, label=group.removeprefix("lr."))
        rate.legend(fontsize=7)
        for axes, key in ((loss, "loss"), (norm, "grad-norm"), (rate, "rate")):
            axes.set_title(message(f"bedside.{key}"), fontsize=9)
            axes.set_xlabel(message("bedside.steps"), fontsize=8)
            axes.tick_params(labelsize=7)
            if axes is not loss:
                axes.set_ylim(bottom=0)
        return figure

    # ------------------------------------------------------------------ on a budget

    def _write_budget(self) -> list[str]:
        patient = self.patient.value
        known, guess = self.examinations[patient], self.guesses.get(patient)
        options = [(self._priced(known, id), id) for id in known.findings]
        chosen = self.asking.value if self.asking.value in known.findings else options[0][1]
        if self.asking.options != tuple(options):
            self.asking.options = options
            self.asking.value = chosen
        cost = known.cost(chosen)
        self.ask.description = message("bedside.pay" if cost else "bedside.paid", cost=cost)
        self.ask.disabled = guess is not None or cost == 0 or cost > known.left
        left = message("bedside.left", left=known.left, credits=CREDITS)
        told = [
            f"<b>{id}</b> {html.escape(stability_message(known.question(id).key('question')))}<br>"
            f"{html.escape(seen(known.findings[id]))}"
            for id in known.asked
        ]
        must = [f"<b>{html.escape(message('bedside.spent'))}</b>"] if known.spent and guess is None else []
        self.answers.value = _lines(f"<b>{html.escape(left)}</b>", *told, *must)
        if not self.guess.options:
            leaves = sorted({leaf for question in diagnosis.QUESTIONS for leaf in question.leaves})
            self.guess.options = [
                ("…", None),
                (message("bedside.sound"), HEALTHY),
                *zip(leaves, leaves, strict=True),
            ]
        if guess is not None or patient != self._drawn:  # else the learner is about to choose
            self.guess.value = guess
        self.guess.disabled = guess is not None
        self._name_decision()
        if guess is None:
            return []
        spent = message("bedside.spending", spent=CREDITS - known.left, credits=CREDITS)
        if guess == HEALTHY:
            return [message("bedside.healthy", patient=patient), spent]
        asked = [id for id in known.asked if guess in known.question(id).leaves]
        first = message(
            "bedside.diagnosis" if asked else "bedside.unseen",
            patient=patient,
            leaf=guess,
            id="".join(asked[:1]),
        )
        return [first, spent, *_explained(guess)]

    def _name_decision(self) -> None:
        """Say on the button what it gives: a choice takes a moment to arrive here."""
        if self.patient.value in self.guesses:
            self.decide.description = message("bedside.again")
        elif self.guess.value is None:
            self.decide.description = message("bedside.decide")
        else:
            chosen = message("bedside.sound") if self.guess.value == HEALTHY else self.guess.value
            self.decide.description = f"{message('bedside.decide')}: {chosen}"

    def _priced(self, known: Examination, id: str) -> str:
        asked = stability_message(known.question(id).key("question"))
        return f"{id} {asked} ({known.cost(id) or '✓'})"

    def _ask(self) -> None:
        if self.patient.value not in self.guesses:
            self.examinations[self.patient.value].ask(self.asking.value)
        self.refresh()

    def _decide(self) -> None:
        """Give the diagnosis that is chosen, or take back the one that was given; credits stay spent."""
        patient = self.patient.value
        if self.guesses.pop(patient, None) is None and self.guess.value is not None:
            self.guesses[patient] = self.guess.value
        self.refresh()

    # ------------------------------------------------------------------ in order

    def _write_order(self) -> list[str]:
        patient, question = self.patient.value, self.question
        leaf = self.diagnoses.get(patient)
        asked, figures = "", ""
        if question is not None:
            finding = self.findings[patient][self.at[patient]]
            asked = message(
                "bedside.question",
                id=question.id,
                number=self.at[patient] + 1,
                all=len(self.findings[patient]),
                asked=stability_message(question.key("question")),
            )
            figures = seen(finding)
        self.text.value = _lines(f"<b>{html.escape(asked)}</b>", html.escape(figures))
        self.back.disabled = self.at[patient] == 0 and leaf is None
        self.fine.disabled = self.broken.disabled = question is None or leaf is not None
        self.leaf.layout.display = "" if leaf is not None else "none"
        if leaf is not None and self.leaf.options != question.leaves:
            self.leaf.options = question.leaves
        if leaf is not None:
            self.leaf.value = leaf
        if question is None:
            return [message("bedside.healthy", patient=patient)]
        if leaf is None:
            return []
        return [message("bedside.diagnosis", patient=patient, leaf=leaf, id=question.id), *_explained(leaf)]

    def _move(self, by: int) -> None:
        patient = self.patient.value
        if self.diagnoses.pop(patient, None) is None:
            self.at[patient] = min(max(self.at[patient] + by, 0), len(self.findings[patient]))
        self.refresh()

    def _break(self) -> None:
        self.diagnoses[self.patient.value] = self.question.leaves[0]
        self.refresh()

    def _choose(self, leaf: str | None) -> None:
        if self._refreshing or leaf is None:
            return
        self.diagnoses[self.patient.value] = leaf
        self.refresh()

    def _said(self, patient: str) -> str:
        """What was said of a patient: the diagnosis on the budget, else the one in order."""
        if patient in self.guesses:
            said = self.guesses[patient]
            spent = CREDITS - self.examinations[patient].left
            return f"{message('bedside.sound') if said == HEALTHY else said} ({spent}/{CREDITS})"
        if self.at[patient] == len(self.findings[patient]):
            return message("bedside.sound")
        return self.diagnoses.get(patient, "–")


def _explained(leaf: str) -> list[str]:
    """What a leaf means and changes, the part of the loop to mend, and how to tell it from those alike."""
    lines = [
        f"{stability_message(f'stability.label-{name}')} {stability_message(f'leaves.{leaf}-{name}')}"
        for name in ("means", "change")
    ]
    parts = sorted({fault.part for fault in FAULTS.values() if fault.leaf == leaf})
    named = [message("bedside.setting") if part == "config" else f"`{part}`" for part in parts]
    lines += [message("bedside.part", parts=", ".join(named))] if named else []
    alike = apart(leaf)[:_ALIKE]
    if alike:
        lines.append(message("bedside.apart", leaf=leaf))
    for other in alike:
        means = stability_message(f"leaves.{other.leaf}-means")
        key = "bedside.alike" if other.telling else "bedside.alike-always"
        lines.append(
            message(
                key,
                leaf=other.leaf,
                means=means,
                shared=", ".join(other.shared),
                telling=", ".join(other.telling),
            )
        )
    return lines


def _question(finding: Finding) -> Question:
    return QUESTIONS[finding.tree, finding.question]


def _with_code(line: str) -> str:
    return re.sub("`(.+?)`", r"<code>\1</code>", html.escape(line))


def _lines(*lines: str) -> str:
    return f'<div style="line-height: 1.5">{"<br>".join(lines)}</div>' if lines else ""

"""A patient's evidence, and beside it the tree to click through, question by question.

    Bedside({"A": run_a, "B": run_b}).show()      # runs as `minigpt.training.trainer.train` returns them

It shows what was measured and the limits, never the verdict: that is the learner's to give. Below the chosen
leaf, right or wrong, stands what it means. Questions without an answer are left out. All controls work with
the mouse and with the keyboard (Tab, Enter; arrows in the list of leaves). Without a running kernel the first
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

from course.messages import message
from course.picture import Picture
from course.reload import follow
from course.widgets import show_controls
from minigpt import diagnosis
from minigpt.diagnosis.report import seen
from minigpt.diagnosis.tree import Finding, Question, Verdict
from minigpt.faults import FAULTS
from minigpt.messages import message as stability_message
from minigpt.runs.run import Run

BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
_WIDTH = "min(800px, 98%)"  # of a notebook in a small window
_THREE_LINES = {"width": _WIDTH, "min_height": "72px"}  # so that the buttons below stay where they are
QUESTIONS = {(question.tree, question.id): question for question in diagnosis.QUESTIONS}


class Bedside:
    """Ask one question at a time about one patient at a time; keep the answers of each patient."""

    def __init__(self, runs: Mapping[str, Run]):
        self.runs = dict(runs)
        self.findings = {name: _measured(run) for name, run in self.runs.items()}
        self.at = dict.fromkeys(self.runs, 0)  # how many questions were answered with “fine”
        self.diagnoses: dict[str, str] = {}  # leaf by patient, where somebody said “it breaks here”
        button = {"layout": {"width": "220px"}}
        self.patient = ipywidgets.ToggleButtons(
            options=list(self.runs), description=message("bedside.patient"), style={"button_width": "60px"}
        )
        self.text = ipywidgets.HTML(layout=_THREE_LINES)
        self.back = ipywidgets.Button(description=message("bedside.back"), layout={"width": "90px"})
        self.fine = ipywidgets.Button(description=message("bedside.fine"), **button)
        self.broken = ipywidgets.Button(description=message("bedside.broken"), **button)
        self.leaf = ipywidgets.Dropdown(description=message("bedside.leaf"), layout={"width": "360px"})
        self.outcome = ipywidgets.HTML(layout={"width": _WIDTH})
        self.overview = ipywidgets.HTML()
        self._picture = Picture()
        self._drawn: str | None = None  # whose picture is shown
        self._refreshing = False
        self.patient.observe(lambda change: self.refresh(), names="value")
        self.leaf.observe(lambda change: self._choose(change["new"]), names="value")
        self.back.on_click(lambda _: self._move(-1))
        self.fine.on_click(lambda _: self._move(1))
        self.broken.on_click(lambda _: self._break())

    @property
    def question(self) -> Question | None:
        """The current question about the current patient; None after the last one."""
        findings, at = self.findings[self.patient.value], self.at[self.patient.value]
        return QUESTIONS[findings[at].tree, findings[at].question] if at < len(findings) else None

    def show(self) -> None:
        """Show the controls, and the picture below them."""
        if get_ipython() is not None:
            buttons = ipywidgets.HBox([self.back, self.fine, self.broken])
            shown = [self.patient, self.text, buttons, self.leaf, self.outcome, self.overview]
            show_controls([*shown, follow(self._picture)])
        self.refresh()

    def refresh(self) -> None:
        """Write question, evidence and outcome for the current patient, and draw its curves."""
        self._refreshing = True  # putting the leaves of another question in place is no choice
        try:
            self._write()
        finally:
            self._refreshing = False

    def _write(self) -> None:
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
        outcome = (html.escape(line) for line in self._outcome(patient, question, leaf))
        self.outcome.value = _lines(*(re.sub("`(.+?)`", r"<code>\1</code>", line) for line in outcome))
        self.overview.value = html.escape(" · ".join(f"{name}: {self._said(name)}" for name in self.runs))
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

    def _outcome(self, patient: str, question: Question | None, leaf: str | None) -> list[str]:
        if question is None:
            return [message("bedside.healthy", patient=patient)]
        if leaf is None:
            return []
        told = [
            f"{stability_message(f'stability.label-{name}')} {stability_message(f'leaves.{leaf}-{name}')}"
            for name in ("means", "change")
        ]
        parts = sorted({fault.part for fault in FAULTS.values() if fault.leaf == leaf})
        named = [message("bedside.setting") if part == "config" else f"`{part}`" for part in parts]
        told += [message("bedside.part", parts=", ".join(named))] if named else []
        return [message("bedside.diagnosis", patient=patient, leaf=leaf, id=question.id), *told]

    def _said(self, patient: str) -> str:
        if self.at[patient] == len(self.findings[patient]):
            return message("bedside.sound")
        return self.diagnoses.get(patient, "–")

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


def _lines(*lines: str) -> str:
    return f'<div style="line-height: 1.5">{"<br>".join(lines)}</div>' if lines else ""


def _measured(run: Run) -> list[Finding]:
    """Return every answer of the trees to this run, without the questions that were not measured."""
    walk = diagnosis.walk(diagnosis.evidence_of(run), whole=True)
    return [finding for finding in walk.findings if finding.verdict is not Verdict.NOT_MEASURED]

"""What happens around the sandbox, tested without one: what stands for it, and what the gradebook says."""

from nbgrader.api import Gradebook


class Benchless:
    """Stands for the sandbox where a test is about what happens around it: everybody gets two points."""

    def __init__(self, job):
        self.job = job

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def prove(self, name):
        pass

    def grade(self, name, handed_in):
        result = {"student": name, "language": handed_in.language or "en", "seed": 1, "level": "none"}
        passed = {"passed": True, "key": None, "text": "✓", "printed": "", "points": 1.0}
        result |= {"checks": dict.fromkeys(self.job.lesson.checks, passed), "retry": False}
        result |= {"problem": handed_in.problem, "notes": handed_in.notes, "timestamp": handed_in.timestamp}
        return result | {"cells": handed_in.cells, "points": 3.0, "maximum": 5.0}


def scores(root, lesson):
    """By student what the gradebook says; every student once."""
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
        rows = [(entry.student.id, entry.score) for entry in book.assignment_submissions(lesson.assignment)]
    assert len(rows) == len(dict(rows))
    return dict(rows)

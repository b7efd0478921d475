"""Whose work it says it is: what a submission names, against the class list or the folder that it lay in.

    hold(result, Student("u1", "Ana", "García"))     # takes the points of charts drawn for somebody else

A lesson whose cases are drawn from a name ties its checks to it (`Check.tie`). The class list decides whose
name that must be; without an entry there, the folder's id does. The notebook's word is only compared.
"""

from __future__ import annotations

from itertools import permutations

from course.grade.delivery import Student
from course.messages import message
from course.patients import plain_name
from course.plain import whole

MAX_WORDS = 5  # of a name that is looked for in an id without spaces


def hold(result: dict, student: Student) -> None:
    """Where the checks are tied to another name than the student's: no points, and a person is asked."""
    ties = [verdict["tie"] for verdict in result["checks"].values() if verdict.get("tie")]
    if not ties:
        return
    result["notes"] = [note for note in result["notes"] if note[0] != "grade.tie"]
    if is_name_of(ties[0], student):
        return
    expected = whole(f"{student.first_name} {student.last_name}".strip() or student.id)
    result["notes"].insert(0, ("grade.other-name", {"tie": ties[0], "name": expected}))
    text = message("grade.held", result["language"], tie=ties[0], name=expected)
    for verdict in result["checks"].values():
        if verdict.get("tie"):
            verdict |= {"passed": False, "points": 0.0, "key": "grade.held", "text": text, "held": True}
    result["points"] = sum(verdict["points"] for verdict in result["checks"].values())


def is_name_of(name: str, student: Student) -> bool:
    """Whether a typed name is the student's: in either order, with or without accents; or their id.

    Where the class list has no name, an id in one word may be cut into the words of one.
    """
    words = plain_name(name).split()
    listed = plain_name(f"{student.first_name} {student.last_name}").split()
    if words and words == listed:
        return True
    identity = plain_name(student.id).split()
    if words and words in (identity, [word for word in identity if not word.isdigit()]):
        return True
    if listed or not 0 < len(words) <= MAX_WORDS:  # each way to cut an id into words draws other cases
        return False
    return "".join(identity) in {"".join(order) for order in permutations(words)}

"""nbgrader's settings for this course: loaded by the nbgrader_config.py at the root of the repository.

    nbgrader generate_assignment 18-01-did-it-start --force
    nbgrader autograde 18-01-did-it-start
    nbgrader generate_feedback 18-01-did-it-start
    COURSE_PHASE=19 jupyter lab                 # formgrader lists the assignments of one phase at a time

nbgrader knows one folder of sources, and a phase is one here: that of the assignment on the command line,
else the one that COURSE_PHASE names, else 18. What is graded lies together, whatever its phase.

`course build` uses the same settings, so that nbgrader's release of a source notebook is the English release.
"""

import os
import re
import sys

import course
from course.grade import bolt

c = get_config()  # noqa: F821 (traitlets defines it)

c.CourseDirectory.course_id = "break-and-fix"
_named = [found[1] for word in sys.argv[1:] if (found := re.match(r"(?:--assignment=)?(\d\d)-\d\d-", word))]
_phase = "phase-" + (_named or [os.environ.get("COURSE_PHASE", "18")])[0]
c.CourseDirectory.source_directory = f"solutions/{_phase}"
c.CourseDirectory.release_directory = f"{_phase}/en"

c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
c.ClearSolutions.text_stub = "✎"  # of no language, so that both releases have one checksum

c.Execute.timeout = 120  # seconds a cell

bolt.guard()  # formgrader reads this file before it serves anything

# nbgrader starts the command `alembic`; an environment that was not activated does not have it on its path.
_programs = os.path.dirname(sys.executable)
if _programs not in os.environ["PATH"].split(os.pathsep):
    os.environ["PATH"] = os.pathsep.join([_programs, os.environ["PATH"]])

# Templates that ask no machine outside for MathJax; nbconvert looks for templates on this path.
_templates = os.path.join(course.__path__[0], "grade", "jupyter")
_paths = os.environ.get("JUPYTER_PATH", "").split(os.pathsep)
if _templates not in _paths:
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [_templates, *_paths]))

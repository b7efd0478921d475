"""nbgrader's settings for this course: loaded by the nbgrader_config.py at the root of the repository.

    nbgrader generate_assignment 18-01-did-it-start --force
    nbgrader autograde 18-01-did-it-start
    nbgrader generate_feedback 18-01-did-it-start

`course build` uses the same settings, so that nbgrader's release of a source notebook is the English release.
"""

import os
import sys

import course
from course.grade import bolt

c = get_config()  # noqa: F821 (traitlets defines it)

c.CourseDirectory.course_id = "break-and-fix"
c.CourseDirectory.source_directory = "solutions/phase-18"
c.CourseDirectory.release_directory = "phase-18/en"

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

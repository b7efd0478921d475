"""What grading needs of `course.cells`, which notebooks use too."""

from course.cells import names_of, needed, plain_python

__all__ = ["names_of", "needed", "plain_python"]

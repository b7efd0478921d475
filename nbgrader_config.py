"""Where nbgrader looks when it starts in the root of the repository; the settings are in course/nbgrader_config.py."""

load_subconfig("course/nbgrader_config.py")  # noqa: F821 (traitlets defines it)

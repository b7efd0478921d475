"""nbgrader and JupyterLab look for their configuration here; the real one is course/nbgrader_config.py."""

load_subconfig("course/nbgrader_config.py")  # noqa: F821 (traitlets defines it)

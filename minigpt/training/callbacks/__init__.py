"""Objects that watch a run without changing it."""

"""The decision trees: their questions as data."""

"""The GPT, its parts, and how it writes text."""

"""How a lesson is written, built, checked and graded. Imports minigpt; minigpt never imports this package."""

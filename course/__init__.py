"""Write, build, check and grade lessons. Imports minigpt; minigpt never imports this package."""

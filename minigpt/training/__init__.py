"""The recipe, its parts, and the loop that composes them."""

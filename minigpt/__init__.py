"""A small, complete GPT and trainer, its faults, and the stability check that finds them."""

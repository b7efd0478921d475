"""Text, tokens and batches: what a run trains on."""

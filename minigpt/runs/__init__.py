"""What a run leaves on disk: records, evidence, checkpoints."""

"""The monitor inside other trainers: `huggingface` and `lightning`; each needs that library."""

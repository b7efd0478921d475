"""Read external logs as evidence for the stability check.

    evidence = external_evidence("train.csv", {"step": "iter", "loss": "train/loss"}, vocab_size=50257)

A JSONL or CSV file, packed by gzip or not, the trainer_state.json of Hugging Face, what a trainer printed,
wherever it is kept (a notebook, a page, the objects of a logging service), a folder of TensorBoard or MLflow,
or a W&B run recorded offline. Only the columns that are needed are kept, so a log of some gigabytes is read
as a stream. Gaps stay gaps; of a step logged twice the last wins; a log that went back (a restart from a
checkpoint) continues from there, and of several runs the last is read. Rows that name no step are counted;
values that are not numbers are skipped, and counted too: `sentences` says so.
"""

from minigpt.runs.importers.evidence import external_evidence, is_external, logs_in, parse_mapping
from minigpt.runs.importers.names import ExternalLogError
from minigpt.runs.importers.notes import sentences

__all__ = ["ExternalLogError", "external_evidence", "is_external", "logs_in", "parse_mapping", "sentences"]

"""What the mini-GPT reads: verbs conjugated in Spanish and English, one pair a line ("yo trabajo / I work").

lexicon.py, lexicon/   the verbs, what they go with, time expressions: data
subjects.py            persons and agreement
spanish.py english.py  conjugation and clauses
grammar.py             items, and every correct pair of an item
verb_table.py          the verb table: 360 cells, correct and mis-conjugated
build.py               writes train.txt, validation.txt, verb_table.tsv, tokenizer.json, manifest.json
loading.py             reads them, or any UTF-8 file
"""

from minigpt.data.corpus.loading import Corpus, load_corpus, load_text, split_text, table_cells
from minigpt.data.corpus.verb_table import MISTAKES, Cell

__all__ = ["MISTAKES", "Cell", "Corpus", "table_cells", "load_corpus", "load_text", "split_text"]

"""What the mini-GPT reads: verbs conjugated in Spanish and English, one pair a line ("yo trabajo / I work").

lexicon.py, lexicon/   the verbs, what they go with, time expressions: data
subjects.py            persons and agreement
spanish.py english.py  conjugation and clauses
grammar.py             items, and every correct pair of an item
a13.py                 the 360 cells of §A13, correct and mis-conjugated
build.py               writes train.txt, validation.txt, a13.tsv, tokenizer.json, manifest.json
loading.py             reads them, or any UTF-8 file
"""

from minigpt.corpus.a13 import MISTAKES, Cell
from minigpt.corpus.loading import Corpus, a13_cells, load_corpus, load_text

__all__ = ["MISTAKES", "Cell", "Corpus", "a13_cells", "load_corpus", "load_text"]

"""`python -m minigpt.cli` is the `minigpt` command; so `torchrun -m minigpt.cli train` uses several processes."""

import sys

from minigpt.cli import main

sys.exit(main())

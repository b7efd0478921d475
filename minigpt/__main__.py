"""`python -m minigpt` is the `minigpt` command; so `torchrun -m minigpt train` uses several processes."""

import sys

from minigpt.cli import main

sys.exit(main())

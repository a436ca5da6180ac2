"""``python -m mmspec`` is ``mmspec``."""

import sys

from mmspec.cli import program

sys.exit(program())

"""``python -m mmspec`` is ``mmspec``."""

import sys

from mmspec.cli import main

sys.exit(main())

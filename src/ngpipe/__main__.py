"""``python -m ngpipe`` is the same as ``ngpipe``."""

from ngpipe.cli import main

raise SystemExit(main())

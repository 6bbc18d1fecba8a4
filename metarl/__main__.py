"""`python -m metarl` is the `metarl` command, for where its script is not on the path."""

import sys

from metarl.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

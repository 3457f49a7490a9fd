"""The command ``bench``, also as ``python -m bench``."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from bench.cli import main as command
    except KeyboardInterrupt:  # nothing was begun yet
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()

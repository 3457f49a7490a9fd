"""The benchmark: commands, runs, results and how they are shown."""

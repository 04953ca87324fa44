"""The cost of each stage as ratios measured in one run: `make bench`, see `__main__`."""

"""A thousand events that stay as they are: `python -m tests.golden` writes them anew, deliberately."""

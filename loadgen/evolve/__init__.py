"""A user's own schema: its fields matched with those of the run's format, or named where they cannot be filled."""

"""Events to bytes: one JSON object per line, exactly as orjson would write the same record."""

"""What a package of others may add to loadgen: a sink, a format, a pacer."""

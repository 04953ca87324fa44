"""What a package of others may add to loadgen."""

"""What producing and consuming share of Kafka: how to reach it, what it refuses, and a broker in memory."""

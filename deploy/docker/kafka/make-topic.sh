#!/usr/bin/env bash
# Make a topic that takes events of any time: BROKERS, TOPIC, PARTITIONS, REPLICATION_FACTOR are variables.
# Simulated time can run ahead of the brokers' clock, and by default Kafka takes nothing that is an hour ahead.
set -euo pipefail

for attempt in 1 2 3 4 5 6 7 8 9 10; do
    if "${KAFKA_HOME:-/opt/kafka}/bin/kafka-topics.sh" --bootstrap-server "$BROKERS" --create --if-not-exists \
        --topic "$TOPIC" --partitions "$PARTITIONS" --replication-factor "$REPLICATION_FACTOR" \
        --config message.timestamp.after.max.ms=9223372036854775807; then
        exit 0
    fi
    echo "attempt $attempt failed; the brokers may not know each other yet"
    sleep 2
done
echo "topic $TOPIC could not be made; look at: docker compose logs kafka-1" >&2
exit 1

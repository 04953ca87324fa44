"""Keys and values of Kafka messages that have both, as all that loadgen sends do."""

from confluent_kafka import Message


def value_of(message: Message) -> bytes:
    """Its value."""
    value = message.value()
    assert isinstance(value, bytes), f"a message has the value {value!r}"
    return value


def key_of(message: Message) -> bytes:
    """Its key."""
    key = message.key()
    assert isinstance(key, bytes), f"a message has the key {key!r}"
    return key

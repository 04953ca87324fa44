"""Kafka → store while things die: after each test every event of the topic is in the store once.

TEST_CHAOS_KILLS (8) is how much happens in each test; TEST_CHAOS_SEED (any numbers, with commas) is by which
dice. With 50 kills or more, three seeds are drawn unless they are given.
"""

"""The simulated world: listeners, what they do, and when. Imports no Kafka, no clock, no process.

rng         random numbers as a hash of (seed, listener, step)
behaviour   behaviour.toml, read and checked (behaviour_rules); as lookup tables (tables), as means (pace)
world       what a simulation depends on, and the words behind its codes
population  who the listeners are;  gaps  when their next session starts, and what changes over months
catalog     the music;  choice  which track is played, new releases among them
state       a listener in 32 bytes;  mechanics  what happens at an event;  start  the steady state
model       what all shards have in common, and what they do on average
calendar    which listeners are due;  shard  all of it, stepped;  dynamic_population  listeners that come and go
feed        the events of a worker in order;  impair  events spoilt on purpose
shapes      the offered load over time;  schedule  when each event is due
"""

"""The world that is simulated: listeners, what they do, and when. Imports no Kafka, no clock, no process.

rng        random numbers as a hash of (seed, listener, step)
behaviour  behaviour.toml, read and checked (behaviour_rules); as look-up tables (tables), as means (pace)
world      what a simulation depends on, and the words behind its codes
population who the listeners are;  day_curve  when they listen;  gaps  when they come back
catalog    the music;  choice  which track is played (alias: draws in one look-up)
state      a listener in 32 bytes;  mechanics  what happens at an event;  start  the steady state
long_run   who joins, leaves, begins to pay, rests on holidays;  releases  new tracks that rise and fade
expected   what a simulation does on average, without drawing an event
calendar   who is due;  batch  what happened, sorted;  shard  all of it, stepped
"""

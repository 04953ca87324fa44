#!/usr/bin/env bash
# Whether this broker answers, and knows of as many brokers as it takes to accept events (min.insync.replicas is 2).
# It sends a Metadata request (version 5, no topics) by hand: Kafka's own tools start a JVM, which is dear every 10 s.
set -euo pipefail

exec 3<> "/dev/tcp/127.0.0.1/${1:-19092}"
printf '\0\0\0\017\0\003\0\005\0\0\0\001\377\377\0\0\0\0\0' >&3
# the answer: its size, the request's number, a throttle time, the number of brokers; each is four bytes
n_brokers=$(head -c 16 <&3 | tail -c 1 | od -An -tu1 | tr -d ' ')
echo "knows ${n_brokers:-no} brokers"
[ "${n_brokers:-0}" -ge 2 ]

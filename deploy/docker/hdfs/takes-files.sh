#!/usr/bin/env bash
# Whether HDFS takes files: the NameNode is out of safe mode, and has a DataNode with room.
set -euo pipefail

state=$(curl -fsS "http://${1:-namenode:9870}/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState")
for wanted in '"FSState" : "Operational"' '"NumLiveDataNodes" : [1-9]' '"CapacityRemaining" : [1-9]'; do
    grep -q "$wanted" <<< "$state" || { echo "not yet: $wanted"; exit 1; }
done

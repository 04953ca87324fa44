#!/usr/bin/env bash
# Become the NameNode or the DataNode: start.sh namenode|datanode. A NameNode without data is formatted first.
set -euo pipefail

hdfs=${HADOOP_HOME:-/opt/hadoop}/bin/hdfs
if [ "$1" = namenode ] && [ ! -e /hadoop/name/current/VERSION ]; then
    "$hdfs" namenode -format -force -nonInteractive
fi
exec "$hdfs" "$1"

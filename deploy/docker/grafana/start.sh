#!/bin/sh
# Start Grafana. Without GRAFANA_ADMIN_PASSWORD nobody can sign in: the password is one that nobody knows.
set -eu

GF_SECURITY_ADMIN_PASSWORD=${GRAFANA_ADMIN_PASSWORD:-$(head -c 32 /dev/urandom | base64)}
export GF_SECURITY_ADMIN_PASSWORD
unset GRAFANA_ADMIN_PASSWORD
exec /run.sh "$@"

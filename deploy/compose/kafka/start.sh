#!/bin/sh
# Kafka with our own configuration: the storage gets a cluster's id at its first start.
set -eu
configuration=/etc/voicefile/server.properties
cd /opt/kafka/bin
if [ ! -e /data/meta.properties ]; then
  ./kafka-storage.sh format --cluster-id "$(./kafka-storage.sh random-uuid)" \
    --config "$configuration"
fi
exec ./kafka-server-start.sh "$configuration"

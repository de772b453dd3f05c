#!/bin/sh
# Starts one of Kafka's main classes from the jars that test/support/install.mjs put into .cache/kafka{,-apps}/libs,
# as Kafka's own script of this name does, with a small heap and a quick start.
# KAFKA_HEAP_OPTS and KAFKA_OPTS mean what they mean there.
here=$(cd "$(dirname "$0")/.." && pwd)
cache=${QUARKMQ_TEST_CACHE:-$(cd "$here/../../.." && pwd)/.cache}
# shellcheck disable=SC2086 # the option variables hold several words
exec java ${KAFKA_HEAP_OPTS:--Xmx192m} -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto \
  -Djava.awt.headless=true "-Dlog4j2.configurationFile=$here/log4j2.properties" \
  $KAFKA_OPTS -cp "$cache/kafka/libs/*:$cache/kafka-apps/libs/*:$cache/java" "$@"

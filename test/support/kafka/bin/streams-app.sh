#!/bin/sh
# The application of Kafka Streams (test/support/java/Streams.java).
here=$(cd "$(dirname "$0")" && pwd)
cache=${QUARKMQ_TEST_CACHE:-$here/../../../../.cache}
exec java -Xmx256m -XX:+UseSerialGC -cp "$cache/java:$cache/streams/libs/*" Streams "$@"

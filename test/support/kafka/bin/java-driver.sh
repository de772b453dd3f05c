#!/bin/sh
# The Java driver (test/support/java/Driver.java), started like one of Kafka's tools.
exec "$(dirname "$0")/kafka-run-class.sh" Driver "$@"

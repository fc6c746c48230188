#!/bin/sh
# Measure the client against LOSSMETER_GRPC beside bare gRPC against LOSSMETER_ECHO; prints JSON.
set -eu
cd "$(dirname "$0")"

mvn -q -B -Dspotless.check.skip test-compile dependency:build-classpath \
  -Dmdep.outputFile=target/classpath >&2
exec java -cp "target/classes:target/test-classes:$(cat target/classpath)" dev.lossmeter.client.Bench

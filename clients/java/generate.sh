#!/bin/sh
# Write src/main/generated anew from proto/lossmeter, with the versions that pom.xml names.
set -eu
cd "$(dirname "$0")"

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) platform=linux-x86_64 ;;
  Linux-aarch64) platform=linux-aarch_64 ;;
  Darwin-*) platform=osx-universal_binary ;;
  *) echo "no protoc for this platform" >&2; exit 1 ;;
esac

version_of() { sed -n "s|.*<$1.version>\(.*\)</$1.version>.*|\1|p" pom.xml; }

fetch() { # group, artefact, version
  mvn -q -B dependency:copy \
    -Dartifact="$1:$2:$3:exe:$platform" -DoutputDirectory=target/generate -Dmdep.stripVersion=true \
    -Dmdep.stripClassifier=true
  mv "target/generate/$2.exe" "target/generate/$2"
  chmod +x "target/generate/$2"
}

fetch com.google.protobuf protoc "$(version_of protobuf)"
fetch io.grpc protoc-gen-grpc-java "$(version_of grpc)"
../../.venv/bin/buf generate

#!/usr/bin/env bash
# Installs what the tests need where it is missing (Debian), builds everything, runs every test.
#   ./test.sh            all tests
#   ./test.sh --test e2e whatever `cargo test` takes
set -euo pipefail
cd "$(dirname "$0")"

has() { command -v "$1" >/dev/null 2>&1; }
missing=()
has cc || missing+=(gcc libc6-dev)
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing+=(postgresql)
has chromium || missing+=(chromium)
# Without it the pictures of the page have boxes for Chinese.
ls /usr/share/fonts/truetype/wqy >/dev/null 2>&1 || missing+=(fonts-wqy-microhei)
{ has python3 && python3 -c 'import ensurepip' >/dev/null 2>&1; } || missing+=(python3 python3-venv)
has mosquitto_pub || missing+=(mosquitto-clients)
has chromedriver || missing+=(chromium-driver)
if [ ${#missing[@]} -gt 0 ]; then
    echo "test.sh: installing ${missing[*]}"
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# A client of another language, for MQTT; beside what is built, nowhere else.
python=target/python/bin/python
if ! $python -c 'import paho.mqtt.client' >/dev/null 2>&1; then
    echo "test.sh: installing paho-mqtt"
    python3 -m venv target/python
    $python -m pip install --quiet --disable-pip-version-check paho-mqtt==2.1.0
fi

# Where these are required, a test that cannot find them fails instead of saying that it was skipped.
export GRIDTRACE_REQUIRE_POSTGRES=1 GRIDTRACE_REQUIRE_BROWSER=1 GRIDTRACE_REQUIRE_MOSQUITTO=1 GRIDTRACE_REQUIRE_PAHO=1

cargo build --workspace --bins
exec cargo test --workspace "$@"

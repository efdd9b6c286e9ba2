#!/usr/bin/env bash
# Installs what the tests need beside a Rust toolchain: PostgreSQL's server programs, pinned Python and npm packages.
# usage: test-deps.sh VENV_DIR
set -euo pipefail
venv=${1:?usage: test-deps.sh VENV_DIR}
root=$(cd "$(dirname "$0")/.." && pwd)
sudo=""
if [ "$(id -u)" -ne 0 ]; then sudo="sudo"; fi

missing=()
command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
command -v python3 >/dev/null || missing+=(python3)
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
command -v curl >/dev/null || missing+=(curl)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v cc >/dev/null || missing+=(build-essential)
if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "The tests need: ${missing[*]}. Install them with your system's package manager and run this again." >&2
    exit 1
  fi
  echo "installing ${missing[*]}"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

# install NAME REQUIREMENTS [PIP_OPTION...]: only when the requirements have changed since the last time.
install() {
  local stamp="$venv/.installed$1" requirements=$2
  shift 2
  if [ ! -f "$stamp" ] || ! cmp -s "$requirements" "$stamp"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" -r "$requirements"
    cp "$requirements" "$stamp"
  fi
}
install "" "$root/webhooks/tests/requirements.txt"
install "-clickhouse" "$root/store/tests/clickhouse/requirements.txt" --no-deps
# The clients (Segment, RudderStack, Flagsmith, OpenFeature) that the server's tests run: npm packages by lockfile, Python's beside the others.
clients="$root/server/tests/it/clients"
install "-clients" "$clients/requirements.txt"
installed="$(dirname "$venv")/clients"
if [ ! -f "$installed/.installed" ] || ! cmp -s "$clients/package-lock.json" "$installed/.installed"; then
  mkdir -p "$installed"
  cp "$clients/package.json" "$clients/package-lock.json" "$installed/"
  # Not `npm ci`: it insists on packages for other systems that an optional dependency, which is left out, would want.
  npm install --prefix "$installed" --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error
  cp "$clients/package-lock.json" "$installed/.installed"
fi
# The engines that the notebooks ask exist together for Python 3.11 only, in an environment of their own.
notebooks="$(dirname "$venv")/notebooks-venv"
python311=""
for candidate in python3.11 python3; do
  if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    python311=$candidate
    break
  fi
done
if [ -z "$python311" ]; then
  echo "SKIPPED: the notebooks need Python 3.11 (Debian 12 has it; elsewhere install python3.11 and python3.11-venv); their tests will be skipped" >&2
elif [ ! -f "$notebooks/.installed" ] || ! cmp -s "$root/notebooks/requirements.txt" "$notebooks/.installed"; then
  "$python311" -m venv "$notebooks"
  "$notebooks/bin/pip" install --quiet --disable-pip-version-check -r "$root/notebooks/requirements.txt"
  cp "$root/notebooks/requirements.txt" "$notebooks/.installed"
fi
echo "the tests' needs are there"

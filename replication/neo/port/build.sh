#!/usr/bin/env bash
# Builds NEO for Python 3 into a wheel, or leaves the one that is there:
#
#   replication/neo/port/build.sh DIRECTORY
#
# The release of the package index, which is for Python 2.7, is fetched by pip and
# checked by its hash; fissix rewrites it; what has not been ported is left out
# (left-out.txt); patches/ is applied in the order of the names. Equal inputs give an
# equal wheel. $PYTHON is the interpreter, python3 if it is unset.
#
# The patches quote NEO and are a work derived from it: GPL-2.0-or-later, as NEO is.
set -euo pipefail
say() { printf 'neo: %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

port=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# = 1 ] || fail "usage: build.sh DIRECTORY"
case $1 in -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$port/build.sh" && exit ;; esac
# Both are as seen from where it is called.
python=$(realpath --no-symlinks "$(command -v "${PYTHON:-python3}")") ||
  fail "there is no ${PYTHON:-python3}"
mkdir -p "$1"
output=$(cd "$1" && pwd)
readonly port python output
cd "$port"
# Two that want the wheel at the same time make it once.
exec 9>"$output/neoppod.lock"
flock 9

# Everything that decides the wheel; the tools are pinned with their hashes.
fingerprint=$(cat build.sh left-out.txt source.txt tools.txt patches/*.patch | sha256sum)
if [ "$(cat "$output/neoppod.fingerprint" 2>/dev/null)" = "$fingerprint" ] &&
  ls "$output"/neoppod-*.whl >/dev/null 2>&1; then
  exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log

logged() {
  "$@" >"$log" 2>&1 </dev/null && return
  tail -n 20 "$log" >&2
  fail "'$1' failed"
}

export PIP_DISABLE_PIP_VERSION_CHECK=1
say "fetching the release for Python 2.7"
logged "$python" -m venv "$work/tools"
logged "$work/tools/bin/pip" install --require-hashes --no-deps --only-binary :all: \
  --requirement tools.txt
# Without isolation: the tools are those that are pinned.
logged "$work/tools/bin/pip" download --require-hashes --no-deps --no-binary :all: \
  --no-build-isolation --dest "$work" --requirement source.txt
tar -x -f "$work"/neoppod-*.tar.gz -C "$work"
cd "$work"/neoppod-*/

say "rewriting it for Python 3"
xargs rm <"$port/left-out.txt"
logged "$work/tools/bin/python" -m fissix --write --nobackups --fix all neo setup.py
for patch in "$port"/patches/*.patch; do
  git apply --whitespace=nowarn "$patch" || fail "$(basename "$patch") does not apply"
done

# Any fixed date after 1980: equal sources give an equal wheel.
SOURCE_DATE_EPOCH=946684800 logged "$work/tools/bin/pip" wheel --no-deps --no-index \
  --no-build-isolation --wheel-dir "$work/wheel" .
rm -f "$output"/neoppod-*.whl
mv "$work"/wheel/neoppod-*.whl "$output"
printf '%s\n' "$fingerprint" >"$output/neoppod.fingerprint"
say "$(basename "$output"/neoppod-*.whl) is in $output"

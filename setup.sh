#!/usr/bin/env bash
# Prepares this checkout to run its programs.
#
#   ./setup.sh programs   what runs a cloud: bin/slapcluster, bin/slapgrid, bin/python
#   ./setup.sh all        that, and the tools of development (the default)
#   ./setup.sh browser    that, the system's Chromium and what drives it in tests
#
# The interpreter is the first of these that is 3.11 or later, has venv and, for root,
# that an ordinary user can run too (instances never run as root):
#   $PYTHON, /usr/bin/python3, /usr/bin/python3.11 to 3.13, /usr/local/bin/python3,
#   python3 of the PATH.
# All packages come by pip, so pip's own configuration (PIP_*, pip.conf) says from where;
# NEO is built here, of what pip fetched. buildout then works from the wheels in
# .make/cache and reads no network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
umask 022
unset PYTHONPATH PYTHONHOME
export PIP_DISABLE_PIP_VERSION_CHECK=1

readonly top=$PWD log=$PWD/.make/setup.log cache=$PWD/.make/cache
readonly nobody=65534 # Debian's user without rights; any other would do for the trial

say() { printf 'set-up: %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

logged() {
  printf '\n$ %s\n' "$*" >>"$log"
  "$@" >>"$log" 2>&1 </dev/null && return
  tail -n 20 "$log" >&2
  fail "'$1' failed; the whole log is $log"
}

# Runs a program as an ordinary user would: directly, or as nobody when we are root.
as_ordinary_user() {
  local other=(setpriv --reuid="$nobody" --regid="$nobody" --clear-groups)
  if [ "$EUID" != 0 ] || ! "${other[@]}" true 2>/dev/null; then
    other=()
  fi
  "${other[@]}" "$@"
}

# Compared with what we see ourselves: in a closed home an interpreter may start all the
# same, with another one's library.
is_usable() {
  local probe='import sys, venv, ensurepip
print(sys.version_info >= (3, 11), sys.version, sys.base_prefix)' ours theirs
  ours=$(cd / && "$1" -I -c "$probe" 2>/dev/null) &&
    theirs=$(cd / && as_ordinary_user "$1" -I -c "$probe" 2>/dev/null) &&
    [ "$ours" = "$theirs" ] && [ "${ours%% *}" = True ]
}

install_packages() {
  command -v apt-get >/dev/null || fail "please install: $*"
  [ "$EUID" = 0 ] ||
    fail "system packages are missing; please run: sudo apt-get install $*"
  say "installing system packages: $*"
  export DEBIAN_FRONTEND=noninteractive
  local apt=(apt-get install -y -q --no-install-recommends "$@")
  # A fresh machine has no package lists, a used one need not fetch them again.
  "${apt[@]}" >>"$log" 2>&1 </dev/null && return
  logged apt-get update -q
  logged "${apt[@]}"
}

find_interpreter() {
  local candidate
  for candidate in /usr/bin/python3 /usr/bin/python3.1{1,2,3} /usr/local/bin/python3 \
    "$(command -v python3)"; do
    if is_usable "$candidate"; then
      echo "$candidate"
      return
    fi
  done
}

has_command() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }

has_headers() {
  [ -e "$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]
}

missing_packages() {
  local stage=$1 pair interpreter=${PYTHON:-$(find_interpreter)}
  for pair in git:git ip:iproute2 ps:procps unshare:util-linux setpriv:util-linux; do
    has_command "${pair%%:*}" || echo "${pair##*:}"
  done
  [ -n "$interpreter" ] || echo python3-venv
  # The stock SlapOS programs, which tests run beside ours, compile a package.
  [ "$stage" = programs ] || has_command cc || echo gcc libc6-dev
  # What instances may have of the agent: a firewall and redirected ports.
  [ "$stage" = programs ] || has_command nft || echo nftables
  [ "$stage" = programs ] || has_command socat || echo socat
  # The links between regions.
  has_command stunnel || echo stunnel4
  [ "$stage" = programs ] || has_headers "${interpreter:-false}" || echo python3-dev
}

choose_interpreter() {
  local interpreter=${PYTHON:-$(find_interpreter)}
  is_usable "${interpreter:-none}" ||
    fail "${interpreter:-no Python here} is not 3.11 or later with venv, to be run by" \
      "every user; name one that is: PYTHON=..."
  command -v "$interpreter"
}

make_environment() {
  local interpreter=$1
  say "making .venv with $interpreter ($("$interpreter" -V))"
  rm -rf .venv bin eggs develop-eggs parts .installed.cfg
  logged "$interpreter" -m venv .venv
  echo "$interpreter" >.venv/interpreter
}

pin() { sed -n "s/^$1 = /$1==/p" versions.cfg; }

fetch_wheels() {
  say "fetching the packages of versions.cfg"
  sed -n '/^neoppod = /d; s/^\([A-Za-z0-9._-]*\) = /\1==/p' versions.cfg >.make/pins.txt
  logged .venv/bin/pip install "$(pin pip)"
  logged .venv/bin/pip wheel --no-deps --find-links "$cache/dist" \
    --wheel-dir "$cache/dist" --requirement .make/pins.txt
}

# Two wheels of one version may differ, and buildout looks at versions alone.
build_neo() {
  local before=.make/neoppod.fingerprint
  say "building NEO"
  PYTHON=.venv/bin/python logged replication/neo/port/build.sh "$cache/dist"
  cmp -s "$cache/dist/neoppod.fingerprint" "$before" && return
  rm -rf eggs/*/neoppod-*
  cp "$cache/dist/neoppod.fingerprint" "$before"
}

build() {
  local site
  export PIP_NO_INDEX=1 PIP_FIND_LINKS=$cache/dist
  site=$(echo .venv/lib/python3.*/site-packages)
  # buildout must not see the eggs of its previous run as its own.
  rm -f "$site/slapcluster.pth"
  logged .venv/bin/pip install "$(pin pip)" "$(pin setuptools)" "$(pin wheel)" \
    "$(pin packaging)" "$(pin platformdirs)" "$(pin zc.buildout)"
  logged .venv/bin/buildout bootstrap
  logged bin/buildout "$@"
}

# The plain interpreter of .venv gets the path of the buildout, because programs start
# children with sys.executable (supervisord, pytest's workers, mypy's search).
share_path() {
  local site
  site=$(echo .venv/lib/python3.*/site-packages)
  bin/python -c 'import os, sys
print(*(p for p in sys.path if p.startswith(os.getcwd())), sep="\n")' |
    grep -v '/\.venv/\|/bin$' >"$site/slapcluster.pth"
}

set_up_programs() {
  build install programs
  share_path
}

set_up_all() {
  build
  share_path
  # ruff is a program in a wheel, not a library: an egg has no place for it.
  logged .venv/bin/pip install --no-deps "$(pin ruff)"
  ln -sf ../.venv/bin/ruff bin/ruff
}

# What decides the outcome, as one word: when it is the same, there is nothing to do.
fingerprint() {
  local inputs=(setup.sh buildout.cfg versions.cfg pyproject.toml)
  inputs+=(replication/neo/port/*.* replication/neo/port/patches/*)
  printf '%s\n' "$top" "$1" "$(cat "${inputs[@]}")" | sha256sum
}

is_done() {
  local used
  used=$(cat .venv/interpreter 2>/dev/null) && [ -x bin/slapcluster ] &&
    [ "$(command -v "${PYTHON:-$used}")" = "$used" ] &&
    [ "$(cat ".make/$1" 2>/dev/null)" = "$(fingerprint "$used")" ]
}

# Scripts hold absolute paths: an environment of another interpreter or folder is no use.
is_environment_of() {
  [ -x .venv/bin/python ] && [ "$(cat .venv/interpreter 2>/dev/null)" = "$1" ] &&
    head -n 1 bin/buildout 2>/dev/null | grep -qF "$top/"
}

set_up() {
  local stage=$1 interpreter missing
  mkdir -p "$cache/dist"
  exec 9>.make/lock
  flock 9
  if is_done "$stage" || is_done all; then
    return
  fi
  SECONDS=0
  : >"$log"
  missing=$(missing_packages "$stage")
  # shellcheck disable=SC2086 # a list of words
  [ -z "$missing" ] || install_packages $missing
  interpreter=$(choose_interpreter)
  is_environment_of "$interpreter" || make_environment "$interpreter"
  fetch_wheels
  build_neo
  say "building $stage with zc.buildout"
  "set_up_$stage"
  fingerprint "$interpreter" >".make/$stage"
  say "$stage ready in $SECONDS s"
}

# In a folder of its own, which only `make test-browser` puts on Python's path.
set_up_browser() {
  local wanted=tests/browser/requirements.txt
  exec 9>.make/lock
  flock 9
  has_command chromium || install_packages chromium
  ! cmp -s "$wanted" .make/browser/requirements.txt || return 0
  say "fetching what drives the browser"
  rm -rf .make/browser
  logged .venv/bin/pip install --no-deps --find-links "$cache/dist" \
    --target .make/browser --requirement "$wanted"
  cp "$wanted" .make/browser/
}

case "${1:-all}" in
programs | all) set_up "${1:-all}" ;;
browser)
  (set_up all) # whose building allows no network
  set_up_browser
  ;;
*) fail "there is no '$1'; say programs, all or browser" ;;
esac

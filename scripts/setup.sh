#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make .venv from requirements.lock, or do nothing when it is there and up to date. Called by every make target.
# Says in one line each what is missing and how to get it. Writes inside the tree only (pip's own cache excepted).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
stamp=$venv/.stamp

fail() {
  printf 'setup: %s\n' "$1" >&2
  exit 1
}

sum_of_inputs() {
  # All that the environment depends on: the lock, the package's metadata (not the tools' settings), this script, the place.
  { cat requirements.lock scripts/setup.sh && sed '/^\[tool\./,$d' pyproject.toml && pwd; } | cksum
}

if [[ -f $stamp && -x $venv/bin/python && "$(cat "$stamp")" == "$(sum_of_inputs)" ]] &&
  "$venv/bin/python" -c '' 2>/dev/null && command -v g++ >/dev/null; then
  exit 0
fi

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

python=
for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13}; do
  if command -v "$candidate" >/dev/null && is_new_enough "$candidate"; then
    python=$(command -v "$candidate")
    break
  fi
done

missing=0
need() {
  printf 'setup: missing: %s\n' "$1" >&2
  missing=1
}
[[ -n $python ]] || need "Python 3.11 or newer (Debian, Ubuntu: apt install python3 python3-venv; or say where: make PYTHON=/path/to/python3.11)"
if [[ -n $python ]] && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  need "Python's venv module for $python (Debian, Ubuntu: apt install python3-venv)"
fi
command -v g++ >/dev/null || need "g++, the C++ compiler (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++)"
command -v "${MAKE_COMMAND:-make}" >/dev/null || need "make (Debian, Ubuntu: apt install make; Fedora: dnf install make)"
((missing == 0)) || exit 1

if ! printf '#include <coroutine>\nint main() { return 0; }\n' |
  g++ -std=c++20 -fcoroutines -x c++ -fsyntax-only - 2>/dev/null; then
  fail "$(g++ --version | head -1) cannot compile C++20 coroutines: g++ 10 or newer is needed"
fi

printf 'setup: making %s with %s from requirements.lock (once; a minute or two)\n' "$venv" "$("$python" --version)"
rm -rf "$venv"
"$python" -m venv "$venv" || fail "$python -m venv failed (Debian, Ubuntu: apt install python3-venv)"
log=$venv/setup.log
quiet_pip() {
  "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@" >>"$log" 2>&1 && return 0
  tail -n 15 "$log" >&2
  fail "pip failed; the whole log is $log (is a package index reachable?)"
}
quiet_pip install --require-hashes -r requirements.lock
quiet_pip install --no-deps --no-build-isolation -e .

# cocotb embeds Python in the simulator, so the interpreter's shared library has to be there.
"$venv/bin/python" -c 'import find_libpython, sys; sys.exit(find_libpython.find_libpython() is None)' ||
  fail "no shared libpython for $python (Debian, Ubuntu: apt install libpython3-dev; pyenv: build with --enable-shared)"
sum_of_inputs >"$stamp"
printf 'setup: done\n'

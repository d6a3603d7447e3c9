#!/usr/bin/env bash
# Make .venv from requirements.lock. A second call with an unchanged lock takes no time. If a call was interrupted, the
# next one goes on where pip stopped. The variables PYTHON, PIP_ARGS and TORCH are explained in the Makefile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

LOCK=requirements.lock
VENV=.venv
STAMP=$VENV/installed.lock # a copy of the lock, written last: if it is there, .venv is complete
# Where this is set, pip leaves the packages uncompiled, and every process compiles them again: a second or two each.
unset PYTHONDONTWRITEBYTECODE
TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu

fail() { printf '%s\n' "$1" >&2; exit 2; }

is_311() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; }

find_python() {
    local candidate
    if [[ -n "${PYTHON:-}" ]]; then
        is_311 "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.11"
        printf '%s' "$PYTHON"
        return
    fi
    for candidate in python3.11 python3 python; do
        # Being on the PATH is not enough: pyenv has shims for versions that are not active.
        if is_311 "$candidate"; then printf '%s' "$candidate"; return; fi
    done
    fail "Python 3.11 not found: install it (apt install python3.11 python3.11-venv, brew install python@3.11, \
or uv python install 3.11) or name it with PYTHON=/path/to/python3.11"
}

make_venv() {
    if is_311 "$VENV/bin/python" && "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then return; fi
    local python
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv module: install it (Debian and Ubuntu: apt install python3.11-venv)"
    echo "Making $VENV with $("$python" --version)"
    "$python" -m venv --clear "$VENV"
}

pip_install() {
    # shellcheck disable=SC2086  # PIP_ARGS is a list of words
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check ${PIP_ARGS:-} "$@" ||
        fail "pip could not install the packages of $LOCK (see above); run the same command again to go on"
}

reachable() {
    "$VENV/bin/python" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' \
        "$1" >/dev/null 2>&1
}

# On Linux PyPI serves the CUDA build of torch, with gigabytes of NVIDIA libraries. On machines that cannot use them,
# the CPU build is installed first, and pip then finds torch already installed.
install_torch() {
    [[ $(uname -s) == Linux ]] || return 0
    local wanted=${TORCH:-auto}
    if [[ $wanted == auto ]]; then
        wanted=cpu
        if command -v nvidia-smi >/dev/null 2>&1; then wanted=cuda; fi
    fi
    [[ $wanted == cpu || $wanted == cuda ]] || fail "TORCH=$wanted: allowed are auto, cpu and cuda"
    if [[ $wanted == cpu ]] && reachable "$TORCH_CPU_INDEX/torch/"; then
        pip_install --constraint "$LOCK" --extra-index-url "$TORCH_CPU_INDEX" \
            "$(grep -E '^torch==' "$LOCK")"
    fi
}

main() {
    if cmp -s "$LOCK" "$STAMP" && is_311 "$VENV/bin/python" && [[ -x $VENV/bin/fiat-color ]]; then return; fi
    local begin=$SECONDS
    make_venv
    echo "Installing $(grep -c '==' "$LOCK") packages into $VENV (once: about 690 MB to download, more with CUDA; 3.3 GB on disk; 2 to 10 minutes)"
    install_torch
    pip_install --requirement "$LOCK"
    # the command fiat-color, which runs what lies here
    pip_install --no-deps --no-build-isolation --editable .
    cp "$LOCK" "$STAMP.part"
    mv "$STAMP.part" "$STAMP"
    echo "$VENV is ready after $((SECONDS - begin)) s, $(du -sh "$VENV" | cut -f1) on disk"
}

main

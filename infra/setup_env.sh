#!/usr/bin/env bash
# Make .venv from requirements.lock. With the argument dev, use requirements-dev.lock, which also has the test tools. A
# second call with an unchanged lock takes no time. If a call was interrupted, the next one continues where it stopped.
# uv installs the packages if it is available, otherwise pip. The Makefile explains the variables PYTHON, VENV, PIP_ARGS
# and TORCH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

DEV_LOCK=requirements-dev.lock
LOCK=requirements.lock
[[ ${1:-} == dev ]] && LOCK=$DEV_LOCK
VENV=${VENV:-.venv}
STAMP=$VENV/installed.lock # a copy of the lock, written last: if it is there, .venv is complete
# If this is set, pip does not compile the packages, and every process compiles them again: a second or two each time.
unset PYTHONDONTWRITEBYTECODE
TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu

fail() { printf '%s\n' "$1" >&2; exit 2; }

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

# If you tell pip where packages are (a mirror, a folder), uv does not know this, so pip is used.
with_uv() {
    [[ -z "${PIP_ARGS:-}${PIP_INDEX_URL:-}${PIP_EXTRA_INDEX_URL:-}${PIP_FIND_LINKS:-}" ]] && command -v uv >/dev/null
}

version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

# An existing environment keeps its Python. If PYTHON named another one, the tests would still run with the first.
refuse_other_python() {
    [[ -n "${PYTHON:-}" && -x $VENV/bin/python ]] || return 0
    local here wanted
    here=$(version "$VENV/bin/python") wanted=$(version "$PYTHON")
    [[ -z $here || $here == "$wanted" ]] || fail "$VENV has Python $here, and PYTHON=$PYTHON is ${wanted:-none}: name \
another environment, such as VENV=.venv-${wanted:-3.13}, or remove $VENV"
}

find_python() {
    local candidate
    if [[ -n "${PYTHON:-}" ]]; then
        fits "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13"
        printf '%s' "$PYTHON"
        return
    fi
    for candidate in python3.11 python3.12 python3.13 python3 python; do
        # Being on the PATH is not enough: pyenv has shims for versions that are not active.
        if fits "$candidate"; then printf '%s' "$candidate"; return; fi
    done
    fail "Python 3.11, 3.12 or 3.13 not found: install one (apt install python3.11 python3.11-venv, brew install \
python@3.11, or uv python install 3.11) or name it with PYTHON=/path/to/python3.11"
}

make_venv() {
    if fits "$VENV/bin/python" && "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then return; fi
    local python
    python=$(find_python)
    echo "Making $VENV with $("$python" --version)"
    if with_uv; then
        uv venv --quiet --clear --seed --python "$python" "$VENV"
        return
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv module: install it (Debian and Ubuntu: apt install python3-venv, or python3.11-venv)"
    "$python" -m venv --clear "$VENV"
}

install() {
    local installer=("$VENV/bin/python" -m pip install --quiet --disable-pip-version-check)
    # unsafe-best-match: uv installs the version of the lock even if torch's index has a copy of the package too
    if with_uv; then
        installer=(uv pip install --quiet --python "$VENV/bin/python" --compile-bytecode --index-strategy unsafe-best-match)
    fi
    # shellcheck disable=SC2086  # PIP_ARGS is a list of words
    "${installer[@]}" ${PIP_ARGS:-} "$@" ||
        fail "could not install the packages of $LOCK (see above); run the same command again to go on"
}

reachable() {
    "$VENV/bin/python" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' \
        "$1" >/dev/null 2>&1
}

# On Linux PyPI serves the CUDA build of torch, with gigabytes of NVIDIA libraries. On machines that cannot use them,
# the CPU build is installed first, and torch then counts as installed.
install_torch() {
    [[ $(uname -s) == Linux ]] || return 0
    local wanted=${TORCH:-auto}
    if [[ $wanted == auto ]]; then
        wanted=cpu
        if command -v nvidia-smi >/dev/null 2>&1; then wanted=cuda; fi
    fi
    [[ $wanted == cpu || $wanted == cuda ]] || fail "TORCH=$wanted: allowed are auto, cpu and cuda"
    if [[ $wanted == cpu ]] && reachable "$TORCH_CPU_INDEX/torch/"; then
        install --constraint "$LOCK" --extra-index-url "$TORCH_CPU_INDEX" "$(grep -E '^torch==' "$LOCK")"
    fi
}

complete() {
    [[ -x $VENV/bin/fiat-color ]] && fits "$VENV/bin/python" || return 1
    cmp -s "$LOCK" "$STAMP" || cmp -s "$DEV_LOCK" "$STAMP" # the dev lock has all packages of the other
}

main() {
    refuse_other_python
    if complete; then return; fi
    local begin=$SECONDS size="2 GB on disk, more with CUDA"
    [[ $LOCK == "$DEV_LOCK" ]] && size="3.3 GB on disk, more with CUDA"
    make_venv
    echo "Installing $(grep -c '==' "$LOCK") packages into $VENV (once: $size; minutes)"
    install_torch
    install --requirement "$LOCK"
    # the command fiat-color, which runs the code in this folder
    install --no-deps --no-build-isolation --editable .
    # numba compiles the code for pixels once for this machine and keeps it: ten seconds, not during the first run
    "$VENV/bin/python" -c 'from pipeline.shard.fused import load_kernels; load_kernels()'
    cp "$LOCK" "$STAMP.part"
    mv "$STAMP.part" "$STAMP"
    echo "$VENV is ready after $((SECONDS - begin)) s, $(du -sh "$VENV" | cut -f1) on disk"
}

main

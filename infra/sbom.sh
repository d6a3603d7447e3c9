#!/usr/bin/env bash
# What a release says about its packages:
#   sbom.sh         writes dist/sbom.json, the packages of requirements.lock in CycloneDX's format
#   sbom.sh audit   asks PyPI for their known vulnerabilities; one that cannot be looked up is an error too
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

TOOLS=build/release-tools # a separate virtual environment: the tools are not part of the program
if [[ ! -x $TOOLS/bin/pip-audit ]]; then
    "${PYTHON:-.venv/bin/python}" -m venv "$TOOLS"
    # shellcheck disable=SC2086  # PIP_ARGS is a list of words
    "$TOOLS/bin/python" -m pip install --quiet ${PIP_ARGS:-} cyclonedx-bom==7.5.0 pip-audit==2.10.1
fi
if [[ ${1:-} == audit ]]; then
    exec "$TOOLS/bin/pip-audit" --strict --requirement requirements.lock --no-deps --disable-pip
fi
mkdir -p dist
# -W hides this warning: the lock does not say which package needs which
"$TOOLS/bin/python" -W ignore::UserWarning -m cyclonedx_py requirements --pyproject pyproject.toml \
    --output-reproducible --output-file dist/sbom.json requirements.lock
echo "dist/sbom.json has $(grep -c '"purl"' dist/sbom.json) packages"

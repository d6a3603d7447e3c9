#!/usr/bin/env bash
# Write the secret of a Ray cluster to FILE (default ~/.ray/auth_token): 64 hex digits that only the owner may read.
# An existing secret is kept and gets mode 0600. Every machine of the cluster needs the same secret: copy it with
# `scp -p`.
set -euo pipefail
FILE=${1:-$HOME/.ray/auth_token}

umask 077
mkdir -p "$(dirname "$FILE")"
if [[ ! -s $FILE ]]; then
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "$FILE.part"
    mv "$FILE.part" "$FILE"
fi
chmod 600 "$FILE"

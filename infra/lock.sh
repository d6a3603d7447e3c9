#!/usr/bin/env bash
# Write the two lock files again from pyproject.toml. Pins that still fit do not change. To update all pins, delete both
# files first. Needs uv.
#   requirements.lock      what the program needs, with all extras except those of the tests
#   requirements-dev.lock  the same, and what the tests and linters need
# Both are resolved for Python 3.11 on Linux. Then the script checks that the same pins have wheels for Python 3.12 and
# 3.13, for ARM and for Macs with Apple's processors, and that no other packages are needed there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# On Linux PyPI serves the CUDA build of torch. That build pins NVIDIA's libraries itself, and the CPU build has none, so
# the lock does not name them.
CUDA='^(nvidia|cuda|triton)'
SOURCE_ONLY=(pyvips bagit) # plain Python without wheels
PLATFORMS=(x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu aarch64-apple-darwin)
export MACOSX_DEPLOYMENT_TARGET=14.0 # the oldest macOS for which torch has wheels

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

resolve() { # resolve VERSION PLATFORM FILE OPTION...: writes FILE, and keeps its pins that still fit
    uv pip compile --quiet --no-annotate --no-header --python-version "$1" --python-platform "$2" --output-file "$3" \
        "${@:4}"
    sed -i -E "/$CUDA/d" "$3"
}

write() { # write FILE FIRST_LINE OPTION...
    local file=$1 first=$2
    shift 2
    [[ -f $file ]] && grep '==' "$file" > "$work/pins" || : > "$work/pins"
    resolve 3.11 "${PLATFORMS[0]}" "$work/pins" "$@" pyproject.toml
    {
        printf '# %s Pinned for Python 3.11 to 3.13; `make lock` writes it.\n' "$first"
        cat "$work/pins"
    } > "$file"
}

check() { # check FILE OPTION...: other platforms need only these pins, and there are wheels for them
    local file=$1 version platform
    shift
    sed -E "/^ *\"($(IFS='|'; echo "${SOURCE_ONLY[*]}"))[>=]/d" pyproject.toml > "$work/pyproject.toml"
    for version in 3.11 3.12 3.13; do
        for platform in "${PLATFORMS[@]}"; do
            resolve "$version" "$platform" "$work/wanted" "$@" --constraint "$file" --only-binary :all: \
                "$work/pyproject.toml"
            if grep -vxFf "$file" "$work/wanted"; then
                echo "$file lacks the above, for Python $version on $platform" >&2
                exit 1
            fi
            echo "$file fits Python $version on $platform"
        done
    done
}

runtime=(--extra train --extra onnx --extra c2pa --extra gcs --extra azure)
write requirements.lock "What the program needs, with its extras." "${runtime[@]}"
write requirements-dev.lock "What the program, its tests and linters need." --all-extras --constraint requirements.lock
check requirements.lock "${runtime[@]}"
check requirements-dev.lock --all-extras

# shellcheck shell=bash disable=SC2034 # the sourcing scripts read these variables
# Sourced by the scripts beside this folder, which all start in the root of the repository.

CACHE=${SOTTOVOCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sottovoce}
# Shared by two scripts and the machine's cargo: artefacts land where the caller wants them.
TARGET=${CARGO_TARGET_DIR:-$PWD/target}

say() { printf '   %s\n' "$*"; }

die() {
    printf '   %s\n' "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

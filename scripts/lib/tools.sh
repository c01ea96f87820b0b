# shellcheck shell=bash disable=SC2034 # the sourcing scripts read these variables
# The cargo programs the checks need, at pinned versions, built once into a cache outside the clone.

CARGO_DENY_VERSION=0.20.2
CARGO_FUZZ_VERSION=0.13.2
# The generator must match the library to the patch level, so the lockfile is the pin.
WASM_BINDGEN_VERSION=$(awk '$0 == "name = \"wasm-bindgen\"" { getline; gsub(/[^0-9.]/, ""); print }' Cargo.lock)

# install_tool CRATE VERSION BINARY [FEATURES]: puts the binary on PATH, building it only if it is not there yet.
install_tool() {
    local crate=$1 version=$2 binary=$3 features=${4:-}
    local root=$CACHE/tools/$crate-$version
    if [[ ! -x $root/bin/$binary ]]; then
        say "installing $crate $version into the cache"
        local install=(cargo install "$crate@$version" --quiet --root "$root" --target-dir "$root/build"
            ${features:+--features "$features"})
        # A published lockfile can name a version that its registry no longer offers.
        local refusal
        if ! refusal=$("${install[@]}" --locked 2>&1); then
            say "not with its own lockfile ($(grep -m1 '^error' <<<"$refusal" || true)): installing without it"
            "${install[@]}"
        fi
        rm -rf "$root/build"
    fi
    "$root/bin/$binary" --version | grep -qwF "$version" || die "$crate in the cache is not $version: remove $root"
    PATH=$root/bin:$PATH
}

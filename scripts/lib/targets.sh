# shellcheck shell=bash disable=SC2034,SC2153 # variables of the scripts that source this
# Building for a target without an operating system, where rustup offers its standard library and where it does not.
#
# SOTTOVOCE_STD=rustup or =debian forces one way; the default tries rustup first.

# What Debian publishes to build browsers with: a recent rustc, the sources of its standard library, the linker.
DEBIAN_PACKAGES=(rustc-web rust-web-src lld-22)
DEBIAN_PREFIX=$CACHE/debian-rust

# build_for TARGET PARTS ARGUMENT…: `cargo build --release` with the PARTS of the standard library that the
# package needs. Leaves the folder of the artefacts in BUILT.
build_for() {
    local target=$1 parts=$2
    shift 2
    local way=${SOTTOVOCE_STD:-auto}
    if [[ $way != debian ]] && rustup target add "$target" >/dev/null 2>&1; then
        say "$target: standard library from rustup"
        BUILT=$TARGET/$target/release
        cargo build --locked --release --target "$target" --target-dir "$TARGET" "$@"
        return
    fi
    [[ $way != rustup ]] || die "rustup offers no standard library for $target"
    say "$target: standard library from Debian's Rust sources"
    unpack_debian_rust
    # Two compilers in one target folder would rebuild each other's work.
    BUILT=$TARGET/debian-rust/$target/release
    RUSTC=$DEBIAN_PREFIX/rustc RUSTC_BOOTSTRAP=1 \
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$DEBIAN_PREFIX/usr/bin/wasm-ld-22 \
        cargo build --locked --release --target "$target" --target-dir "$TARGET/debian-rust" -Zbuild-std="$parts" "$@"
}

# A private prefix: neither PATH nor the machine's packages change, and no root is needed.
unpack_debian_rust() {
    if [[ -x $DEBIAN_PREFIX/rustc ]] && "$DEBIAN_PREFIX/rustc" --version >/dev/null; then return; fi
    have apt-get || die "this way needs Debian's apt-get"
    local staging=$DEBIAN_PREFIX.new packages deb
    rm -rf "$DEBIAN_PREFIX" "$staging"
    mkdir -p "$staging/debs"
    packages=$(debian_closure || { as_root apt-get update -qq && debian_closure; })
    say "unpacking into the cache: ${packages//$'\n'/ }"
    # shellcheck disable=SC2086 # one word a package
    (cd "$staging/debs" && apt-get download -qq $packages 2>/dev/null)
    for deb in "$staging"/debs/*.deb; do dpkg -x "$deb" "$staging"; done
    rm -r "$staging/debs"
    # Only this compiler may see these libraries, so they go into a wrapper and not into the environment.
    cat >"$staging/rustc" <<'WRAPPER'
#!/bin/sh
prefix=$(dirname "$(readlink -f "$0")")
for libraries in "$prefix"/usr/lib/*-linux-gnu; do
    LD_LIBRARY_PATH=$libraries:$prefix/usr/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
done
export LD_LIBRARY_PATH
exec "$prefix/usr/bin/rustc" "$@"
WRAPPER
    chmod +x "$staging/rustc"
    mv "$staging" "$DEBIAN_PREFIX"
    "$DEBIAN_PREFIX/rustc" --version >/dev/null || die "Debian's rustc does not start from its private prefix"
}

# The packages, and those below them that the machine does not have.
debian_closure() {
    local plan
    plan=$(apt-get install --simulate --no-install-recommends "${DEBIAN_PACKAGES[@]}" 2>/dev/null) || return 1
    { printf '%s\n' "${DEBIAN_PACKAGES[@]}"; awk '/^Inst/ { print $2 }' <<<"$plan"; } | sort -u
}

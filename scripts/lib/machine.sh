# shellcheck shell=bash
# What the machine itself must have: a C and C++ compiler, Git, Node.js, two rustup components.

# command:package, as Debian names it. C is for SQLite and the linker, C++ for libFuzzer.
NEEDED=(cc:gcc c++:g++ git:git node:nodejs gzip:gzip)

as_root() {
    if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

install_machine_packages() {
    local pair missing=()
    for pair in "${NEEDED[@]}"; do
        have "${pair%%:*}" || missing+=("${pair#*:}")
    done
    # A compiler without the C library's headers compiles nothing.
    if ! echo '#include <stdlib.h>' | cc -E -x c - >/dev/null 2>&1; then missing+=(libc6-dev); fi
    if ((${#missing[@]} == 0)); then
        say "C and C++ compilers, Git, Node.js $(node --version): present"
        return
    fi
    have apt-get || die "missing: ${missing[*]} (Debian's names); install them and run again"
    ((EUID == 0)) || sudo -n true || die "missing: ${missing[*]}; installing needs root or a sudo without password"
    say "installing with apt-get: ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_rust_components() {
    have cargo || die "no cargo: install Rust with rustup first"
    local component
    for component in rustfmt clippy; do
        if cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1; then continue; fi
        say "installing the rustup component $component"
        rustup component add "$component"
    done
    say "$(rustc --version)"
}

# shellcheck shell=bash disable=SC2034,SC2153 # variables of the scripts that source this
# What each stage of `scripts/test` does.

# How long a fuzz target runs here. Long campaigns are for machines with nothing else to do; this finds what is shallow.
FUZZ_SECONDS=10

declare -A ABOUT=(
    [machine]='compilers, Node.js and rustup components'
    [fmt]='formatting'
    [house]='import rules, layout, wording'
    [clippy]='lints'
    [rustdoc]='documentation'
    [deny]='licences, sources, duplicates, advisories'
    [msrv]='the oldest compiler we promise'
    [services]='a throw-away PostgreSQL, nats-server and an S3 server, for the tests'
    [no_std]='the cryptography on a target without an operating system'
    [wasm]='the WebAssembly module, and the core on its test vectors, in Node.js'
    [fuzz]="each fuzz target for $FUZZ_SECONDS s"
    [bench]='benchmarks run, a handful of rounds each'
    [demo]='two people talk through a real server'
    [interop]='the cryptography talks to an independent implementation in Python'
    [build]='all tests compile'
    [clients]='a client of gRPC for Python talks to a real server'
    [test]='all tests'
)

stage_machine() {
    install_machine_packages
    install_rust_components
}

stage_fmt() { cargo fmt --all -- --check; }

stage_house() {
    scripts/house
    scripts/house --self-test
}

stage_clippy() { cargo clippy --locked --workspace --all-targets --quiet -- -D warnings; }

stage_rustdoc() { RUSTDOCFLAGS=-Dwarnings cargo doc --locked --workspace --no-deps --quiet; }

stage_deny() {
    install_tool cargo-deny "$CARGO_DENY_VERSION" cargo-deny
    cargo deny --locked check licenses bans sources
    if cargo deny --locked fetch db >/dev/null 2>&1; then
        cargo deny --locked check advisories
    else
        say 'NOT CHECKED: security advisories, because their database cannot be fetched from here'
    fi
}

stage_msrv() {
    local promised using
    promised=$(sed -nE 's/^rust-version = "([0-9.]+)"/\1/p' Cargo.toml)
    using=$(rustc --version | cut -d' ' -f2)
    if [[ $using == "$promised" || $using == "$promised".* ]]; then
        say "this run uses Rust $using, the oldest promised: the run itself is the check"
    elif rustup run "$promised" rustc --version >/dev/null 2>&1 ||
        rustup toolchain install "$promised" --profile minimal >/dev/null 2>&1; then
        rustup run "$promised" cargo check --locked --workspace --quiet --target-dir "$TARGET/msrv"
        say "Rust $promised compiles the workspace; the rest of this run uses $using"
    else
        say "NOT CHECKED: Rust $promised, because rustup cannot get it here; this run uses $using"
    fi
}

# Runs until this script ends. What is missing is found out before what takes long.
stage_services() { start_services; }

# A microcontroller's target has neither std nor a system's random generator to fall back on.
stage_no_std() { build_for thumbv7em-none-eabihf core,alloc -p sottovoce-crypto --quiet; }

stage_wasm() {
    scripts/wasm
    node --test crypto-wasm/tests/*.test.mjs
    # The core by itself, on its test vectors: no bindings, nothing imported.
    build_for wasm32-unknown-unknown std,panic_abort -p sottovoce-crypto --example check_vectors --quiet
    node scripts/lib/vectors.mjs "$BUILT/examples/check_vectors.wasm"
}

stage_fuzz() {
    install_tool cargo-fuzz "$CARGO_FUZZ_VERSION" cargo-fuzz
    # The sanitizers' flags are unstable; the bootstrap variable lets the stable compiler take them. Optimising
    # across packages would double the build to speed up a run of seconds.
    RUSTC_BOOTSTRAP=1 CARGO_PROFILE_RELEASE_LTO=off cargo fuzz build --target-dir "$TARGET/fuzz"
    local host target targets
    host=$(rustc -vV | sed -n 's/^host: //p')
    targets=$(cargo fuzz list)
    for target in $targets; do run_fuzz_target "$target" "$TARGET/fuzz/$host/release/$target"; done
}

# Straight from its binary, since `cargo fuzz run` would build each target once more.
run_fuzz_target() {
    local target=$1 binary=$2
    local artifacts=fuzz/artifacts/$target corpus=$TARGET/fuzz-corpus/$target log=$TARGET/fuzz-corpus/$target.log
    # What is found joins the corpus in the target folder; the seeds are read and stay as they are.
    mkdir -p "$artifacts" "$corpus"
    if ! "$binary" -artifact_prefix="$artifacts/" -max_total_time="$FUZZ_SECONDS" -timeout=10 -verbosity=1 \
        "$corpus" "fuzz/seeds/$target" >"$log" 2>&1; then
        cat "$log" >&2
        die "fuzz target $target failed; the input is in $artifacts"
    fi
    say "$target: $(grep -m1 '^Done' "$log")"
}

# Without the word that `cargo bench` passes, a benchmark only shows that it still works.
stage_bench() {
    local store
    cargo test --locked --release --package sottovoce-benches --benches --quiet
    install_postgres
    for store in sqlite postgres; do
        cargo run --locked --release --quiet -p sottovoce-benches --bin load -- --store "$store" --quick
    done
}

stage_demo() { cargo run --locked --release --quiet -p sottovoce-examples --bin demo; }

# X3DH and the Double Ratchet by other authors, told our labels, at the other end of live conversations.
stage_interop() {
    prepare_python crypto/tests/interop/requirements.txt
    cargo build --locked --quiet -p sottovoce-crypto --example interop
    PYTHONDONTWRITEBYTECODE=1 "$PYTHON" crypto/tests/interop/run.py "$TARGET/debug/examples/interop"
}

stage_build() { cargo test --locked --workspace --no-run --quiet; }

# Everything here is what gRPC's own generator makes of our `.proto`, and what its specification alone tells.
stage_clients() {
    prepare_python server/tests/python/requirements.txt
    # The program that the tests run as well: built by itself it would be built with other features, and so anew.
    cargo test --locked --workspace --no-run --quiet --test server
    PYTHONDONTWRITEBYTECODE=1 "$PYTHON" server/tests/python/run.py "$TARGET/debug/sottovoce-server" proto/proto
}

stage_test() {
    start_services
    cargo test --locked --workspace
}

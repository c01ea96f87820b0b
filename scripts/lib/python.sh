# shellcheck shell=bash disable=SC2034 # the sourcing scripts read these variables
# A Python with what a check needs, in a virtual environment in the cache: nothing of the machine's own changes.

# prepare_python REQUIREMENTS: leaves in PYTHON the interpreter of an environment that holds exactly these
# packages. It is made once for each content of the file and each Python.
prepare_python() {
    local requirements=$1 name root
    install_python
    name=$({ python3 --version && cat "$requirements"; } | sha256sum | cut -c 1-16)
    root=$CACHE/python/$name
    PYTHON=$root/bin/python
    # The stamp comes last: an environment that was cut short in the making has none.
    if [[ ! -f $root/complete ]]; then
        say "installing the packages of $requirements into the cache, for $(python3 --version)"
        rm -rf "$root"
        python3 -m venv "$root"
        # Wheels only: building from source would need compilers and headers that nobody asked for.
        "$PYTHON" -m pip install --quiet --disable-pip-version-check --only-binary :all: -r "$requirements"
        "$PYTHON" -m pip check --disable-pip-version-check >/dev/null
        touch "$root/complete"
    fi
    say "$("$PYTHON" --version), with the packages of $requirements"
}

# Debian has the interpreter, and what makes environments, in packages of their own.
install_python() {
    if python3 -c 'import ensurepip, venv' 2>/dev/null; then return; fi
    have apt-get || die "missing: Python 3 with venv; install it and run again"
    ((EUID == 0)) || sudo -n true || die "missing: python3-venv; installing needs root or a sudo without password"
    say "installing with apt-get: python3-venv"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
}

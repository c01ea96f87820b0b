"""Has a client of gRPC for Python talk to a real server. `scripts/test clients` runs it.

    python run.py SERVER PROTO

SERVER is the built program sottovoce-server, PROTO the folder of our `.proto` files.
"""

import sys
import tempfile
from pathlib import Path

import grpc

import stubs


def main(binary: str, proto: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        generated = Path(scratch) / "generated"
        generated.mkdir()
        stubs.generate(Path(proto), generated)
        # Only now is there something for them to import.
        import checks
        from program import Certificate, Program

        certificate = Certificate(Path(scratch))
        tls = {"SOTTOVOCE_TLS__CERTIFICATE": str(certificate.chain), "SOTTOVOCE_TLS__KEY": str(certificate.key)}
        for name, settings, connect in (
            ("plaintext", {}, grpc.insecure_channel),
            ("TLS", tls, certificate.channel),
        ):
            folder = Path(scratch) / name
            folder.mkdir()
            with Program(binary, folder, settings) as program, connect(program.address) as channel:
                for check in checks.ALL:
                    check(program, channel)
                    print(f"   {name}: {check.__name__.replace('_', ' ')}")
                assert program.end() == 0, "the server did not stop in order"


if __name__ == "__main__":
    main(*sys.argv[1:])

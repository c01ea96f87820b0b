"""The server as its users run it: a program of its own."""

import datetime
import ipaddress
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Dict

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# Long enough for a debug build on a busy machine.
PATIENCE_S = 60


class Program:
    """`sottovoce-server serve` on a free port; ended with its block."""

    def __init__(self, binary: str, folder: Path, settings: Dict[str, str]) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SOTTOVOCE_")}
        environment.update(settings)
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", str(folder / "data")],
            stdout=subprocess.PIPE,
            stderr=open(folder / "log", "wb"),
            stdin=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        watchdog = threading.Timer(PATIENCE_S, self.process.kill)
        watchdog.start()
        self.address, self.announced = "", ""
        for line in self.process.stdout:
            self.announced += line
            for scheme in ("http://", "https://"):
                if not self.address and scheme in line:
                    self.address = line.split(scheme)[1].split()[0].rstrip(",;")
            if "To stop" in line:
                break
        watchdog.cancel()
        if not self.address:
            raise AssertionError(f"the server did not start: {self.announced}{(folder / 'log').read_text()}")

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_exception) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        return self.process.wait(PATIENCE_S)


class Certificate:
    """Of a certificate authority that lives as long as this run, for `localhost` and the loopback address."""

    def __init__(self, folder: Path) -> None:
        self.chain, self.key = folder / "certificate.pem", folder / "key.pem"
        authority, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of one run")])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        root = self._begin(issuer, issuer, authority.public_key())
        root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.root = root.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = self._begin(subject, issuer, leaf.public_key())
        certificate = certificate.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = certificate.sign(authority, hashes.SHA256())
        self.chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            leaf.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.key.chmod(0o600)

    @staticmethod
    def _begin(subject, issuer, key) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        hour = datetime.timedelta(hours=1)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - hour).not_valid_after(now + hour)

    def channel(self, address: str) -> grpc.Channel:
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(root_certificates=self.root))

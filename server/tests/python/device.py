"""One account with one device, as proto/PROTOCOL.md describes a client of the calls."""

import os
import time
from typing import Iterable, List, Tuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

import statements
from stubs import messages, services

SERVER = "localhost"
# Generous: these machines are shared, and a call that hangs must still end.
DEADLINE_S = 30


class Device:
    def __init__(self, name: str, channel) -> None:
        self.address = f"{name}@{SERVER}"
        self.device_id = os.urandom(16)
        self.account = Ed25519PrivateKey.generate()
        self.identity = Ed25519PrivateKey.generate()
        self.token = ""
        self.use(channel)

    def use(self, channel) -> None:
        self.accounts = services.AccountServiceStub(channel)
        self.auth = services.AuthServiceStub(channel)
        self.prekeys = services.PrekeyServiceStub(channel)
        self.mailbox = services.MailboxServiceStub(channel)

    def registration(self):
        account_key = public(self.account)
        listed = statements.manifest(self.address, [(self.device_id, public(self.identity))])
        bound = statements.binding(account_key, self.address, self.device_id)
        return messages.RegisterRequest(
            account_key=account_key,
            manifest=statements.sign(self.account, listed),
            bindings=[statements.sign(self.identity, bound)],
        )

    def register(self) -> None:
        self.accounts.Register(self.registration(), timeout=DEADLINE_S)

    def sign_in(self) -> None:
        begin = messages.BeginAuthenticationRequest(device_id=self.device_id)
        begun = self.auth.BeginAuthentication(begin, timeout=DEADLINE_S)
        challenge = statements.auth_challenge(SERVER, self.device_id, begun.nonce, begun.expires_at_ms)
        answer = messages.CompleteAuthenticationRequest(challenge=statements.sign(self.identity, challenge))
        self.token = self.auth.CompleteAuthentication(answer, timeout=DEADLINE_S).access_token

    def options(self) -> dict:
        return {"metadata": [("authorization", f"Bearer {self.token}")], "timeout": DEADLINE_S}

    def publish_prekeys(self, one_time: Iterable[int]):
        now = int(time.time() * 1000)
        one_time = list(one_time)
        signed = statements.signed_prekey(self.device_id, 1, x25519(), now)

        def kem(prekey_id: int, role: bytes) -> dict:
            key = MLKEM768PrivateKey.generate().public_key().public_bytes_raw()
            return statements.sign(
                self.identity, statements.kem_prekey(self.device_id, prekey_id, role, key, now)
            )

        request = messages.PublishPrekeysRequest(
            signed_prekey=statements.sign(self.identity, signed),
            one_time_prekeys=[{"id": n, "public_key": x25519()} for n in one_time],
            last_resort_kem_prekey=kem(1, statements.ROLE_LAST_RESORT),
            one_time_kem_prekeys=[kem(n + 1, statements.ROLE_ONE_TIME) for n in one_time],
        )
        return self.prekeys.PublishPrekeys(request, **self.options())

    def letter(self, to: "Device", ciphertext: bytes):
        return messages.SendRequest(
            recipient=to.address,
            client_message_id=os.urandom(16),
            messages=[{"device_id": to.device_id, "ciphertext": ciphertext}],
        )

    def send(self, to: "Device", ciphertext: bytes):
        return self.mailbox.Send(self.letter(to, ciphertext), **self.options())

    def acknowledge(self, envelope_ids: List[bytes]) -> None:
        request = messages.AcknowledgeRequest(envelope_ids=envelope_ids)
        self.mailbox.Acknowledge(request, **self.options())

    def subscribe(self):
        return self.mailbox.Subscribe(messages.SubscribeRequest(), **self.options())

    def waiting(self) -> List[Tuple[bytes, bytes, str]]:
        """What waits in the mailbox: envelope id, ciphertext, sender. Nothing is acknowledged."""
        found = []
        stream = self.subscribe()
        for answer in stream:
            if answer.WhichOneof("event") == "queue_empty":
                stream.cancel()
                return found
            if answer.WhichOneof("event") == "envelope":
                envelope = answer.envelope
                found.append((envelope.envelope_id, envelope.ciphertext, envelope.sender))
        raise AssertionError("the stream ended before queue_empty")


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def x25519() -> bytes:
    return X25519PrivateKey.generate().public_key().public_bytes_raw()

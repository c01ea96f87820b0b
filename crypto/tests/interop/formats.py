"""The bytes of suite 0x01, written from crypto/SPEC.md alone. Numbers in comments are its sections and rules."""

import hashlib
from typing import NamedTuple, Optional

SUITE = b"\x01"

# 3
MAGIC = b"Sottovoce-v1"
INFO_HANDSHAKE = b"Sottovoce-v1 handshake" + SUITE
INFO_ROOT = b"Sottovoce-v1 root" + SUITE
INFO_MESSAGE = b"Sottovoce-v1 message" + SUITE
LABEL_ASSOCIATED_DATA = b"Sottovoce-v1 associated data"
LABEL_HANDSHAKE_DIGEST = b"Sottovoce-v1 handshake digest"

# 4
SIGNED_PREKEY = MAGIC + b"\x03" + b"\x02"
KIND_X25519 = b"\x02"

# 8
VERSION = b"\x01"
INITIAL = b"\x01"
RATCHET = b"\x02"
TAG_LEN = 16

# 9.1
MAX_PLAINTEXT_LEN = 65536
BUCKETS = tuple(256 << power for power in range(9))


class Malformed(Exception):
    """Bytes that no encoder writes (1.1)."""


class Reader:
    """Takes fields off the front of a byte string."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, length: int) -> bytes:
        if len(self.data) < length:
            raise Malformed("too short")
        taken, self.data = self.data[:length], self.data[length:]
        return taken

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def x25519_key(self) -> bytes:
        key = self.take(32)
        if not 0 < int.from_bytes(key, "little") < 2**255 - 19:
            raise Malformed("not an X25519 key (2.2)")
        return key

    def finish(self) -> None:
        if self.data:
            raise Malformed("trailing bytes")


class Party(NamedTuple):
    """One end of a session (6)."""

    address: str
    device_id: bytes
    account_key: bytes
    identity_key: bytes

    def encode(self) -> bytes:
        address = self.address.encode("ascii")
        return bytes([len(address)]) + address + self.device_id + self.account_key + self.identity_key


class SignedPrekey(NamedTuple):
    """The statement of purpose 0x03 (4)."""

    device_id: bytes
    id: int
    key: bytes
    created_at_ms: int

    def encode(self) -> bytes:
        number, created_at = self.id.to_bytes(4, "big"), self.created_at_ms.to_bytes(8, "big")
        return SIGNED_PREKEY + self.device_id + number + KIND_X25519 + self.key + created_at

    @staticmethod
    def decode(statement: bytes) -> "SignedPrekey":
        reader = Reader(statement)
        header, device_id, number = reader.take(len(SIGNED_PREKEY)), reader.take(16), reader.number(4)
        if header != SIGNED_PREKEY or reader.take(1) != KIND_X25519 or number == 0:
            raise Malformed("not a signed prekey")
        prekey = SignedPrekey(device_id, number, reader.x25519_key(), reader.number(8))
        reader.finish()
        return prekey


class Handshake(NamedTuple):
    """The handshake header (5.3)."""

    signed_prekey_id: int
    one_time_prekey_id: Optional[int]
    ephemeral_key: bytes

    def encode(self) -> bytes:
        one_time = b"\x00"
        if self.one_time_prekey_id is not None:
            one_time = b"\x01" + self.one_time_prekey_id.to_bytes(4, "big")
        return SUITE + self.signed_prekey_id.to_bytes(4, "big") + one_time + self.ephemeral_key

    @staticmethod
    def read(reader: Reader) -> "Handshake":
        if reader.take(1) != SUITE:
            raise Malformed("another suite (3.1)")
        signed_prekey_id, present = reader.number(4), reader.take(1)
        if signed_prekey_id == 0 or present not in (b"\x00", b"\x01"):
            raise Malformed("not a handshake")
        one_time_prekey_id = reader.number(4) if present == b"\x01" else None
        return Handshake(signed_prekey_id, one_time_prekey_id, reader.x25519_key())

    def digest(self) -> bytes:
        """5.6"""
        return hashlib.sha256(LABEL_HANDSHAKE_DIGEST + self.encode()).digest()


def associated_data(
    handshake: Handshake, spk: bytes, opk: Optional[bytes], initiator: Party, responder: Party
) -> bytes:
    """6"""
    prekeys, parties = spk + (opk or b""), initiator.encode() + responder.encode()
    return hashlib.sha256(LABEL_ASSOCIATED_DATA + handshake.encode() + prekeys + parties).digest()


class Message(NamedTuple):
    """A message (8). An initial one has a handshake."""

    handshake: Optional[Handshake]
    ratchet_key: bytes
    previous: int
    number: int
    ciphertext: bytes

    def encode(self) -> bytes:
        ratchet = encode_ratchet(self.ratchet_key, self.previous, self.number)
        return encode_front(self.handshake) + ratchet + self.ciphertext

    @staticmethod
    def decode(data: bytes) -> "Message":
        reader = Reader(data)
        version, kind = reader.take(1), reader.take(1)
        if version != VERSION or kind not in (INITIAL, RATCHET):
            raise Malformed("another version or kind")
        handshake = Handshake.read(reader) if kind == INITIAL else None
        message = Message(handshake, reader.x25519_key(), reader.number(4), reader.number(4), reader.data)
        if len(message.ciphertext) - TAG_LEN - 4 not in BUCKETS:
            raise Malformed("no bucket is as long (8.1)")
        return message


def encode_front(handshake: Optional[Handshake]) -> bytes:
    """What stands before the ratchet header."""
    return VERSION + (RATCHET if handshake is None else INITIAL + handshake.encode())


def encode_ratchet(ratchet_key: bytes, previous: int, number: int) -> bytes:
    return ratchet_key + previous.to_bytes(4, "big") + number.to_bytes(4, "big")


def pad(plaintext: bytes) -> bytes:
    """9.1"""
    bucket = next(size for size in BUCKETS if len(plaintext) <= size)
    return len(plaintext).to_bytes(4, "big") + plaintext.ljust(bucket, b"\x00")


def unpad(padded: bytes) -> bytes:
    """9.1: nothing but what `pad` makes."""
    length = int.from_bytes(padded[:4], "big")
    plaintext = padded[4 : 4 + length]
    if length > MAX_PLAINTEXT_LEN or pad(plaintext) != padded:
        raise Malformed("padded otherwise")
    return plaintext

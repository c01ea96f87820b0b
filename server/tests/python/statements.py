"""Signed statements, written from crypto/SPEC.md section 4 alone."""

from typing import List, Tuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAGIC = b"Sottovoce-v1"

MANIFEST = b"\x01"
BINDING = b"\x02"
SIGNED_PREKEY = b"\x03"
AUTH_CHALLENGE = b"\x04"
KEM_PREKEY = b"\x05"

BY_ACCOUNT_KEY = b"\x01"
BY_IDENTITY_KEY = b"\x02"

ROLE_LAST_RESORT = b"\x01"
ROLE_ONE_TIME = b"\x02"


def u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


def counted(data: bytes) -> bytes:
    """An address, a server name or a nonce: its length in a byte, then itself."""
    return bytes([len(data)]) + data


def ed25519_key(key: bytes) -> bytes:
    return b"\x01" + key


def x25519_key(key: bytes) -> bytes:
    return b"\x02" + key


def ml_kem_key(key: bytes) -> bytes:
    return b"\x03" + key


def manifest(address: str, devices: List[Tuple[bytes, bytes]]) -> bytes:
    """Version 1, which has no previous one."""
    body = counted(address.encode()) + u64(1) + bytes(32) + bytes([len(devices)])
    for device_id, identity_key in sorted(devices):
        body += device_id + ed25519_key(identity_key)
    return MAGIC + MANIFEST + BY_ACCOUNT_KEY + body


def binding(account_key: bytes, address: str, device_id: bytes) -> bytes:
    body = ed25519_key(account_key) + counted(address.encode()) + device_id
    return MAGIC + BINDING + BY_IDENTITY_KEY + body


def signed_prekey(device_id: bytes, prekey_id: int, key: bytes, created_at_ms: int) -> bytes:
    body = device_id + u32(prekey_id) + x25519_key(key) + u64(created_at_ms)
    return MAGIC + SIGNED_PREKEY + BY_IDENTITY_KEY + body


def kem_prekey(device_id: bytes, prekey_id: int, role: bytes, key: bytes, created_at_ms: int) -> bytes:
    body = device_id + u32(prekey_id) + role + ml_kem_key(key) + u64(created_at_ms)
    return MAGIC + KEM_PREKEY + BY_IDENTITY_KEY + body


def auth_challenge(server: str, device_id: bytes, nonce: bytes, expires_at_ms: int) -> bytes:
    body = counted(server.encode()) + device_id + counted(nonce) + u64(expires_at_ms)
    return MAGIC + AUTH_CHALLENGE + BY_IDENTITY_KEY + body


def sign(key: Ed25519PrivateKey, statement: bytes) -> dict:
    """The fields of a `SignedStatement`."""
    return {"statement": statement, "signature": key.sign(statement)}

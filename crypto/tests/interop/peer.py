"""The independent peer: X3DH and the Double Ratchet of other authors, told our labels and our formats."""

import asyncio
import warnings
from typing import Optional, Set, Tuple, Type

import doubleratchet
import x3dh
import xeddsa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from doubleratchet.recommended import HashFunction, kdf_hkdf, kdf_separate_hmacs
from doubleratchet.recommended.diffie_hellman_ratchet_curve25519 import DiffieHellmanRatchet

import formats
from formats import Handshake, Malformed, Message, Party, SignedPrekey

# 10: ours, so that both sides can be held to one table. The library wants the first no larger than the second.
MAX_FORWARD_JUMP = 2000
MAX_SKIPPED_KEYS = 2000

SIGNED_PREKEY_ID = 31
ONE_TIME_PREKEY_ID = 32


class Refused(Exception):
    """The protocol refused."""


class RootKdf(kdf_hkdf.KDF):
    """7.1: the library takes the root key first and the chain key second."""

    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256

    @staticmethod
    def _get_info() -> bytes:
        return formats.INFO_ROOT


class ChainKdf(kdf_separate_hmacs.KDF):
    """7.2: one HMAC for each byte of the constant."""

    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256


# The library takes the next chain key first and the message key second.
CHAIN_CONSTANT = b"\x02\x01"


class Cipher(doubleratchet.AEAD):
    """7.3, 8 and 9: padding is inside, so that wrong padding is refused like a forgery."""

    @staticmethod
    def _keyed(message_key: bytes) -> Tuple[ChaCha20Poly1305, bytes]:
        hkdf = HKDF(hashes.SHA256(), 44, salt=bytes(32), info=formats.INFO_MESSAGE)
        expanded = hkdf.derive(message_key)
        return ChaCha20Poly1305(expanded[:32]), expanded[32:]

    @staticmethod
    async def encrypt(plaintext: bytes, key: bytes, associated_data: bytes) -> bytes:
        cipher, nonce = Cipher._keyed(key)
        return cipher.encrypt(nonce, formats.pad(plaintext), associated_data)

    @staticmethod
    async def decrypt(ciphertext: bytes, key: bytes, associated_data: bytes) -> bytes:
        cipher, nonce = Cipher._keyed(key)
        try:
            return formats.unpad(cipher.decrypt(nonce, ciphertext, associated_data))
        except InvalidTag as error:
            raise doubleratchet.AuthenticationFailedException() from error
        except Malformed as error:
            raise doubleratchet.DecryptionFailedException() from error


class Ratchet(doubleratchet.DoubleRatchet):
    """8: what the tag covers. The front of the message comes in with the associated data."""

    @staticmethod
    def _build_associated_data(associated_data: bytes, header: doubleratchet.Header) -> bytes:
        return associated_data + formats.encode_ratchet(
            header.ratchet_pub, header.previous_sending_chain_length, header.sending_chain_length
        )


SETTINGS = {
    "diffie_hellman_ratchet_class": DiffieHellmanRatchet,
    "root_chain_kdf": RootKdf,
    "message_chain_kdf": ChainKdf,
    "message_chain_constant": CHAIN_CONSTANT,
    "dos_protection_threshold": MAX_FORWARD_JUMP,
    "max_num_skipped_message_keys": MAX_SKIPPED_KEYS,
    "aead": Cipher,
}

REFUSALS = (
    Malformed,
    x3dh.KeyAgreementException,
    doubleratchet.AuthenticationFailedException,
    doubleratchet.DecryptionFailedException,
    doubleratchet.DoSProtectionException,
    doubleratchet.DuplicateMessageException,
    # A Diffie-Hellman result of zeros (2.3), as the two libraries below say it.
    xeddsa.XEdDSAException,
    ValueError,
)


def x3dh_state(device_id: bytes, prekey_id: int, created_at_ms: int) -> Type[x3dh.BaseState]:
    """What the library signs and verifies as a signed prekey: our statement (4)."""

    class State(x3dh.BaseState):
        @staticmethod
        def _encode_public_key(key_format: x3dh.IdentityKeyFormat, pub: bytes) -> bytes:
            if key_format is x3dh.IdentityKeyFormat.CURVE_25519:
                return SignedPrekey(device_id, prekey_id, pub, created_at_ms).encode()
            return pub

    return State


X3DH_SETTINGS = {
    "identity_key_format": x3dh.IdentityKeyFormat.ED_25519,
    "hash_function": x3dh.HashFunction.SHA_256,
    "info": formats.INFO_HANDSHAKE,
}


class Peer:
    """A device with one prekey of each kind and one session at most, like our own end."""

    def __init__(self, address: str, device_id: bytes, now_ms: int) -> None:
        self._state = x3dh_state(device_id, SIGNED_PREKEY_ID, now_ms).create(**X3DH_SETTINGS)
        self._state.generate_pre_keys(1)
        bundle = self._state.bundle
        (self._one_time_prekey,) = bundle.pre_keys
        # Any Ed25519 key does as the account's: here it is only bound (6).
        account = x3dh_state(device_id, 1, 0).create(**X3DH_SETTINGS)
        self.party = Party(address, device_id, account.bundle.identity_key, bundle.identity_key)
        self.published = {
            "signed_prekey": {
                "statement": SignedPrekey(device_id, SIGNED_PREKEY_ID, bundle.signed_pre_key, now_ms).encode(),
                "signature": bundle.signed_pre_key_sig,
            },
            "one_time_prekey": {"id": ONE_TIME_PREKEY_ID, "key": self._one_time_prekey},
        }
        self._digests: Set[bytes] = set()
        self._ratchet: Optional[Ratchet] = None
        self._agreed: Optional[Tuple[bytes, bytes]] = None
        self._handshake: Optional[Handshake] = None
        self._associated_data = b""
        self._repeat_handshake = False

    @property
    def digest(self) -> bytes:
        assert self._handshake is not None
        return self._handshake.digest()

    def initiate(self, them: Party, signed_prekey: dict, one_time_prekey: Optional[dict]) -> None:
        """5.1 to 5.3, and the ratchet's beginning (7.4) with the first message."""
        try:
            prekey = SignedPrekey.decode(signed_prekey["statement"])
            if prekey.device_id != them.device_id:
                raise Refused("the prekey of another device (5.1)")
            one_time = frozenset([one_time_prekey["key"]]) if one_time_prekey else frozenset()
            # The library verifies the statement as its own subclass encodes it, hence one for their prekey.
            state = x3dh_state(prekey.device_id, prekey.id, prekey.created_at_ms).from_model(
                self._state.model, **X3DH_SETTINGS
            )
            secret, _, header = asyncio.run(state.get_shared_secret_active(
                x3dh.Bundle(them.identity_key, prekey.key, signed_prekey["signature"], one_time),
                require_pre_key=False,
            ))
        except REFUSALS as error:
            raise Refused(repr(error)) from error
        self._handshake = Handshake(
            prekey.id, one_time_prekey["id"] if one_time_prekey else None, header.ephemeral_key
        )
        self._associated_data = formats.associated_data(
            self._handshake, prekey.key, header.pre_key, self.party, them
        )
        self._agreed = secret, prekey.key
        self._repeat_handshake = True

    def accept(self, them: Party, data: bytes) -> bytes:
        """5.4 to 5.7"""
        try:
            message = Message.decode(data)
            handshake = message.handshake
            if handshake is None or handshake.signed_prekey_id != SIGNED_PREKEY_ID:
                raise Refused("no handshake for our signed prekey")
            if handshake.one_time_prekey_id not in (None, ONE_TIME_PREKEY_ID):
                raise Refused("no such one-time prekey")
            if handshake.digest() in self._digests:
                raise Refused("accepted before (5.7)")
            opk = None if handshake.one_time_prekey_id is None else self._one_time_prekey
            spk = self._state.bundle.signed_pre_key
            secret, _, pair = asyncio.run(self._state.get_shared_secret_passive(
                x3dh.Header(them.identity_key, handshake.ephemeral_key, spk, opk), require_pre_key=False
            ))
            associated_data = formats.associated_data(handshake, spk, opk, them, self.party)
            ratchet, plaintext = asyncio.run(Ratchet.decrypt_initial_message(
                shared_secret=secret,
                own_ratchet_priv=pair.priv,
                message=to_library(message),
                associated_data=associated_data + formats.encode_front(handshake),
                **SETTINGS,
            ))
        except REFUSALS as error:
            raise Refused(repr(error)) from error
        if opk is not None:
            self._state.delete_pre_key(opk)
        self._digests.add(handshake.digest())
        self._handshake, self._associated_data, self._ratchet = handshake, associated_data, ratchet
        return plaintext

    def encrypt(self, plaintext: bytes) -> bytes:
        handshake = self._handshake if self._repeat_handshake else None
        bound = self._associated_data + formats.encode_front(handshake)
        if self._ratchet is None:
            assert self._agreed is not None
            secret, their_prekey = self._agreed
            self._ratchet, message = asyncio.run(Ratchet.encrypt_initial_message(
                shared_secret=secret,
                recipient_ratchet_pub=their_prekey,
                message=plaintext,
                associated_data=bound,
                **SETTINGS,
            ))
        else:
            message = asyncio.run(self._ratchet.encrypt_message(plaintext, bound))
        header = message.header
        return Message(
            handshake,
            header.ratchet_pub,
            header.previous_sending_chain_length,
            header.sending_chain_length,
            message.ciphertext,
        ).encode()

    def decrypt(self, data: bytes) -> bytes:
        try:
            message = Message.decode(data)
            if message.handshake is not None and message.handshake != self._handshake:
                raise Refused("another handshake (8.5)")
            if self._ratchet is None:
                raise Refused("nothing sent yet, so nothing to answer")
            bound = self._associated_data + formats.encode_front(message.handshake)
            with warnings.catch_warnings():
                # The library warns of a forged `previous` and goes on, to fail at the tag.
                warnings.simplefilter("ignore")
                plaintext = asyncio.run(self._ratchet.decrypt_message(to_library(message), bound))
        except REFUSALS as error:
            raise Refused(repr(error)) from error
        self._repeat_handshake = False
        return plaintext

    def state(self) -> str:
        """All that the session is, so that a refusal can be seen to change nothing."""
        assert self._ratchet is not None
        return f"{self._repeat_handshake} {self._ratchet.json}"

    def restart(self) -> None:
        """The session goes to storage and comes back."""
        assert self._ratchet is not None
        self._ratchet = Ratchet.from_json(self._ratchet.json, **SETTINGS)


def to_library(message: Message) -> doubleratchet.EncryptedMessage:
    header = doubleratchet.Header(message.ratchet_key, message.previous, message.number)
    return doubleratchet.EncryptedMessage(header, message.ciphertext)

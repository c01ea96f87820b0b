"""Our end: the example program `interop`, spoken to in lines of JSON."""

import json
import subprocess
from typing import Any, Optional

from formats import Party
from peer import Refused


def to_json(value: Any) -> Any:
    """Byte strings become hexadecimal."""
    if isinstance(value, Party):
        value = value._asdict()
    if isinstance(value, dict):
        return {name: to_json(member) for name, member in value.items()}
    return value.hex() if isinstance(value, bytes) else value


class Ours:
    """The same operations as `Peer`, carried out by our code in a process of its own."""

    def __init__(self, program: str, seed: int, address: str, device_id: bytes, now_ms: int) -> None:
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        made = self._do("device", seed=seed, address=address, device_id=device_id, now_ms=now_ms)
        party = made["party"]
        self.party = Party(
            party["address"],
            bytes.fromhex(party["device_id"]),
            bytes.fromhex(party["account_key"]),
            bytes.fromhex(party["identity_key"]),
        )
        signed, one_time = made["signed_prekey"], made["one_time_prekey"]
        self.published = {
            "signed_prekey": {name: bytes.fromhex(value) for name, value in signed.items()},
            "one_time_prekey": {"id": one_time["id"], "key": bytes.fromhex(one_time["key"])},
        }
        self.digest = b""

    def initiate(self, them: Party, signed_prekey: dict, one_time_prekey: Optional[dict]) -> None:
        answer = self._do("initiate", them=them, signed_prekey=signed_prekey, one_time_prekey=one_time_prekey)
        self.digest = bytes.fromhex(answer["digest"])

    def accept(self, them: Party, data: bytes) -> bytes:
        answer = self._do("accept", them=them, message=data)
        self.digest = bytes.fromhex(answer["digest"])
        return bytes.fromhex(answer["plaintext"])

    def encrypt(self, plaintext: bytes) -> bytes:
        return bytes.fromhex(self._do("encrypt", plaintext=plaintext)["message"])

    def decrypt(self, data: bytes) -> bytes:
        return bytes.fromhex(self._do("decrypt", message=data)["plaintext"])

    def state(self) -> str:
        return self._do("state")["state"]

    def restart(self) -> None:
        self._do("restart")

    def close(self) -> None:
        self._process.stdin.close()
        if self._process.wait(timeout=10) != 0:
            raise AssertionError("our program ended with an error")

    def _do(self, operation: str, **arguments: Any) -> dict:
        self._process.stdin.write(json.dumps(to_json({"do": operation, **arguments})) + "\n")
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"our program ended at {operation}")
        answer = json.loads(line)
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer["ok"]

"""Has the independent peer and our own code talk to each other, live. `scripts/test interop` runs it.

    python run.py PROGRAM [SEED…]

PROGRAM is the built example `interop` of sottovoce-crypto. A seed decides what the link does and our end's keys;
the libraries draw their own from the system, so that every run has new ones.
"""

import random
import sys
from typing import Tuple

from conversation import Conversation, End, flip, must_refuse
from ours import Ours
from peer import Peer

MESSAGES = 250
SEEDS = (1, 2, 3)
NOW_MS = 1_800_000_000_000


def begin(program: str, seed: int, we_initiate: bool, one_time: bool) -> Conversation:
    """Two new devices, one of which has begun a session with the other."""
    ours = Ours(program, seed, "ours@one.example", b"\xa1" * 16, NOW_MS)
    theirs = Peer("theirs@two.example:7443", b"\xb2" * 16, NOW_MS)
    ends = End("ours", ours), End("theirs", theirs)
    initiator, responder = ends if we_initiate else ends[::-1]
    published = responder.device.published
    initiator.device.initiate(
        responder.device.party,
        published["signed_prekey"],
        published["one_time_prekey"] if one_time else None,
    )
    return Conversation(random.Random(f"{seed} {describe(we_initiate, one_time)}"), initiator, responder)


def talk(program: str, seed: int, we_initiate: bool, one_time: bool) -> None:
    conversation = begin(program, seed, we_initiate, one_time)
    conversation.run(MESSAGES)
    counts = ", ".join(f"{name} {count}" for name, count in conversation.counts.items())
    more = f"late {conversation.late}, ratchet keys {len(conversation.ratchet_keys)}"
    print(f"   seed {seed}, {describe(we_initiate, one_time)}: {counts}, {more}")
    ours(conversation).close()


def refuse(program: str, we_initiate: bool, one_time: bool) -> None:
    """Every byte of an initial message and of an answer, messages out of place, and prekeys that do not hold."""
    conversation = begin(program, 0, we_initiate, one_time)
    initiator, responder = conversation.initiator, conversation.responder
    refused = refuse_prekeys(program, we_initiate)
    first = initiator.device.encrypt(b"first")
    refused += refuse_every_byte(conversation, responder, first)
    them = initiator.device.party
    misnamed = them._replace(address="somebody@one.example")
    must_refuse(lambda: responder.device.accept(misnamed, first), "another address")
    misnamed = them._replace(account_key=responder.device.party.account_key)
    must_refuse(lambda: responder.device.accept(misnamed, first), "another account key")
    assert responder.device.accept(them, first) == b"first"
    responder.begun = True
    conversation.sent[0] = (b"first", first)
    if one_time:
        must_refuse(lambda: responder.device.accept(them, first), "a handshake whose one-time prekey is used up")
    answer = responder.device.encrypt(b"answer")
    refused += refuse_every_byte(conversation, initiator, answer)
    conversation.refuse(initiator, first, "our own message come back")
    conversation.refuse(responder, answer, "our own message come back")
    other = begin(program, 99, we_initiate, one_time)
    stray = other.initiator.device.encrypt(b"stray")
    ours(other).close()
    conversation.refuse(responder, stray, "a message of another session")
    assert initiator.device.decrypt(answer) == b"answer"
    second = initiator.device.encrypt(b"second")
    refused += refuse_every_byte(conversation, responder, second)
    assert responder.device.decrypt(second) == b"second"
    print(f"   {describe(we_initiate, one_time)}: {refused + 6 + one_time} forgeries refused, no state changed")
    ours(conversation).close()


def refuse_every_byte(conversation: Conversation, receiver: End, message: bytes) -> int:
    for place in range(len(message)):
        forged = flip(message, place, 1 << place % 8)
        conversation.refuse(receiver, forged, f"a message with byte {place} changed")
    return len(message)


def refuse_prekeys(program: str, we_initiate: bool) -> int:
    """A signed prekey with any byte of its statement or signature changed begins nothing."""
    conversation = begin(program, 0, we_initiate, one_time=False)
    initiator, responder = conversation.initiator.device, conversation.responder.device
    prekey = responder.published["signed_prekey"]
    places = [(part, place) for part in prekey for place in range(len(prekey[part]))]
    for part, place in places:
        forged = {**prekey, part: flip(prekey[part], place, 1 << place % 8)}
        must_refuse(
            lambda: initiator.initiate(responder.party, forged, None), f"a prekey with byte {place} of its {part} changed"
        )
    ours(conversation).close()
    return len(places)


def ours(conversation: Conversation) -> Ours:
    devices = conversation.initiator.device, conversation.responder.device
    return next(device for device in devices if isinstance(device, Ours))


def describe(we_initiate: bool, one_time: bool) -> str:
    return f"{'we begin' if we_initiate else 'they begin'} {'with' if one_time else 'without'} a one-time prekey"


def main(program: str, *seeds: str) -> None:
    cases: Tuple[Tuple[bool, bool], ...] = ((True, True), (True, False), (False, True), (False, False))
    for case in cases:
        refuse(program, *case)
    for seed in map(int, seeds or SEEDS):
        for case in cases:
            talk(program, seed, *case)


if __name__ == "__main__":
    main(*sys.argv[1:])

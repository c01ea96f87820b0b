"""A conversation over a link that loses, repeats, reorders and damages, and what must hold throughout."""

import random
from typing import Any, Callable, Dict, List, Set

from formats import BUCKETS, MAX_PLAINTEXT_LEN, Message
from peer import Refused

# How often the link does what; and how often an end sends, rather than the link delivering one.
SEND = 0.30
LOSS = 0.10
REPEAT = 0.15
DAMAGE = 0.10
RESTART = 0.03


def must_refuse(action: Callable[[], Any], what: str) -> None:
    try:
        action()
    except Refused:
        return
    raise AssertionError(f"{what} was not refused")


class End:
    """One side: a device, what is on its way to it, and what it has read."""

    def __init__(self, name: str, device: Any) -> None:
        self.name = name
        self.device = device
        self.begun = False
        self.on_its_way: List[int] = []
        self.read: Set[int] = set()


class Conversation:
    """Two ends. `initiator` has begun, and `responder` takes up whichever of its messages comes first."""

    def __init__(self, rng: random.Random, initiator: End, responder: End) -> None:
        self.rng = rng
        self.initiator, self.responder = initiator, responder
        self.initiator.begun = True
        self.sent: Dict[int, Any] = {}
        self.counts = {"sent": 0, "read": 0, "lost": 0, "repeated": 0, "damaged": 0, "restarts": 0}
        self.ratchet_keys: Set[bytes] = set()
        self.late = 0

    def run(self, messages: int) -> None:
        """Until so many messages were sent; then what is still on its way arrives."""
        while self.counts["sent"] < messages:
            ends = [end for end in (self.initiator, self.responder) if end.begun]
            if self.rng.random() < SEND:
                sender = self.rng.choice(ends)
                for _ in range(min(self.rng.choice((1, 1, 2, 5)), messages - self.counts["sent"])):
                    self.send(sender)
            else:
                self.deliver_one(self.rng.choice((self.initiator, self.responder)))
            if self.rng.random() < RESTART:
                self.restart(self.rng.choice(ends))
        while self.initiator.on_its_way or self.responder.on_its_way:
            self.deliver_one(self.rng.choice((self.initiator, self.responder)), lossless=True)
        assert self.initiator.device.digest == self.responder.device.digest
        # A schedule that exercises too little proves too little.
        assert len(self.ratchet_keys) >= messages // 20, "the ratchet hardly turned"
        assert self.late >= messages // 10, "hardly anything came out of order"

    def send(self, sender: End) -> None:
        receiver = self.other(sender)
        plaintext = self.rng.randbytes(self.length())
        number = len(self.sent)
        self.sent[number] = (plaintext, sender.device.encrypt(plaintext))
        receiver.on_its_way.append(number)
        message = Message.decode(self.sent[number][1])
        # The handshake is repeated until the first answer decrypts, and not after (5.3).
        assert (message.handshake is not None) == (sender is self.initiator and not sender.read)
        self.ratchet_keys.add(message.ratchet_key)
        self.counts["sent"] += 1

    def length(self) -> int:
        """Any length, those around a bucket's edge among them; long ones are rare, since they are slow."""
        edge = self.rng.choice(BUCKETS[:4]) + self.rng.choice((-1, 0, 1))
        return self.rng.choices(
            (self.rng.randrange(300), edge, 0, MAX_PLAINTEXT_LEN), weights=(60, 30, 9, 1)
        )[0]

    def deliver_one(self, receiver: End, lossless: bool = False) -> None:
        if not receiver.on_its_way:
            return
        number = receiver.on_its_way.pop(self.rng.randrange(len(receiver.on_its_way)))
        if not lossless and self.rng.random() < LOSS:
            # An initiator whose every message is lost has no conversation.
            if receiver.begun or len(receiver.on_its_way) > 0:
                self.counts["lost"] += 1
                return
        if self.rng.random() < DAMAGE:
            self.refuse_damaged(receiver, number)
        if not lossless and self.rng.random() < REPEAT:
            receiver.on_its_way.append(number)
        self.deliver(receiver, number)

    def deliver(self, receiver: End, number: int) -> None:
        plaintext, message = self.sent[number]
        if number in receiver.read:
            self.unchanged(receiver, lambda: must_refuse(lambda: receiver.device.decrypt(message), "a repetition"))
            self.counts["repeated"] += 1
            return
        if receiver.begun:
            read = receiver.device.decrypt(message)
        else:
            read = receiver.device.accept(self.other(receiver).device.party, message)
            receiver.begun = True
        assert read == plaintext, f"{receiver.name} read something else"
        self.late += any(number < already for already in receiver.read)
        receiver.read.add(number)
        self.counts["read"] += 1

    def refuse_damaged(self, receiver: End, number: int) -> None:
        damaged = damage(self.rng, self.sent[number][1])
        self.refuse(receiver, damaged, "a damaged message")
        self.counts["damaged"] += 1

    def refuse(self, receiver: End, message: bytes, what: str) -> None:
        """As what it is to this end: a message of the session, or one that would begin it."""
        if receiver.begun:
            self.unchanged(receiver, lambda: must_refuse(lambda: receiver.device.decrypt(message), what))
        else:
            them = self.other(receiver).device.party
            must_refuse(lambda: receiver.device.accept(them, message), what)

    def unchanged(self, end: End, action: Callable[[], None]) -> None:
        # The initiator has no ratchet to compare before its first message.
        before = end.device.state() if self.sent else None
        action()
        assert not self.sent or end.device.state() == before, f"{end.name}: a refusal changed the state"

    def restart(self, end: End) -> None:
        if self.sent:
            end.device.restart()
            self.counts["restarts"] += 1

    def other(self, end: End) -> End:
        return self.responder if end is self.initiator else self.initiator


def damage(rng: random.Random, message: bytes) -> bytes:
    """One bit turned, cut short, or something added."""
    kind = rng.randrange(4)
    if kind == 0:
        return message[: rng.randrange(len(message))]
    if kind == 1:
        return message + rng.randbytes(rng.choice((1, 16, 256)))
    return flip(message, rng.randrange(len(message)), 1 << rng.randrange(8))


def flip(message: bytes, place: int, mask: int) -> bytes:
    return message[:place] + bytes([message[place] ^ mask]) + message[place + 1 :]

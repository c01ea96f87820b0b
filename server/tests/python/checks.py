"""What is asked of a running server, each check by itself and in this order. The last one stops it."""

import queue

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from google.protobuf import descriptor_pb2
from grpc_status import rpc_status

import statements
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from device import DEADLINE_S, SERVER, Device, public
from stubs import messages, services

SERVICES = {
    f"sottovoce.v1.{name}Service"
    for name in ("Account", "Auth", "Blob", "Channel", "Mailbox", "Prekey", "Server")
}


def refusal(call) -> tuple:
    """The status code and the reason with which `call` is refused."""
    try:
        call()
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        assert status is not None, f"untyped: {error}"
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                assert info.domain == "sottovoce.v1", info
                return error.code(), info.reason
        raise AssertionError(f"no ErrorInfo: {status}")
    raise AssertionError("it was not refused")


def reflection_lists_and_describes_the_services(_program, channel) -> None:
    # Both names of the service have the same messages; gRPC for Python's own stub knows only the second.
    for version in ("v1", "v1alpha"):
        ask = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            *(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in sorted(SERVICES)),
        ]
        listed, *described = list(ask(iter(requests), timeout=DEADLINE_S))
        names = {service.name for service in listed.list_services_response.service}
        assert SERVICES | {"grpc.health.v1.Health"} <= names, names
        for name, answer in zip(sorted(SERVICES), described, strict=True):
            defined = set()
            for data in answer.file_descriptor_response.file_descriptor_proto:
                file = descriptor_pb2.FileDescriptorProto.FromString(data)
                defined |= {f"{file.package}.{service.name}" for service in file.service}
            assert name in defined, f"{name} is not described: {answer}"


def health_answers_for_the_server_and_each_service(_program, channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", *sorted(SERVICES)):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=DEADLINE_S)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, name
    try:
        health.Check(health_pb2.HealthCheckRequest(service="sottovoce.v1.Nothing"), timeout=DEADLINE_S)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
    else:
        raise AssertionError("an unknown service is healthy")


def the_server_says_who_it_is(_program, channel) -> None:
    info = services.ServerServiceStub(channel).GetServerInfo(messages.GetServerInfoRequest(), timeout=DEADLINE_S)
    assert info.server_name == SERVER and info.version, info


def an_account_is_registered_once_and_read_back(_program, channel) -> None:
    anna, other = Device("anna", channel), Device("anna", channel)
    anna.register()
    anna.register()
    assert refusal(other.register) == (grpc.StatusCode.ALREADY_EXISTS, "ADDRESS_TAKEN")
    forged = other.registration()
    forged.manifest.signature = bytes(64)
    refused = refusal(lambda: other.accounts.Register(forged, timeout=DEADLINE_S))
    assert refused == (grpc.StatusCode.INVALID_ARGUMENT, "SIGNATURE_INVALID"), refused
    anna.sign_in()
    request = messages.GetAccountRequest(address=anna.address)
    account = anna.accounts.GetAccount(request, **anna.options())
    registered = anna.registration()
    assert account.account_key == registered.account_key
    assert account.manifest == registered.manifest
    assert list(account.bindings) == list(registered.bindings)
    refused = refusal(lambda: anna.accounts.GetAccount(request, timeout=DEADLINE_S))
    assert refused[0] == grpc.StatusCode.UNAUTHENTICATED or refused[1] == "ACCESS_DENIED", refused


def prekeys_are_handed_out_once(_program, channel) -> None:
    berta, bruno = joined("berta", channel), joined("bruno", channel)
    counts = berta.publish_prekeys(range(1, 4))
    assert (counts.one_time_remaining, counts.one_time_kem_remaining) == (3, 3), counts
    identity = Ed25519PublicKey.from_public_bytes(public(berta.identity))
    request = messages.FetchPrekeyBundlesRequest(address=berta.address, device_ids=[berta.device_id])
    one_time, kem = [], []
    for _ in range(4):
        (bundle,) = bruno.prekeys.FetchPrekeyBundles(request, **bruno.options()).bundles
        for signed in (bundle.signed_prekey, bundle.kem_prekey):
            identity.verify(signed.signature, signed.statement)
        one_time.append(bundle.one_time_prekey.id if bundle.HasField("one_time_prekey") else None)
        # The role follows the header, the device id and the prekey's id.
        at = len(statements.MAGIC) + 2 + 16 + 4
        kem.append(bundle.kem_prekey.statement[at : at + 1])
    assert one_time == [1, 2, 3, None], one_time
    assert kem == 3 * [statements.ROLE_ONE_TIME] + [statements.ROLE_LAST_RESORT], kem


def a_message_is_delivered_until_it_is_acknowledged(_program, channel) -> None:
    carla, conrad = joined("carla", channel), joined("conrad", channel)
    letter = carla.letter(conrad, b"an opaque ciphertext")
    receipt = carla.mailbox.Send(letter, **carla.options())
    assert carla.mailbox.Send(letter, **carla.options()) == receipt, "a repeat has another receipt"
    letter.messages[0].ciphertext = b"another"
    refused = refusal(lambda: carla.mailbox.Send(letter, **carla.options()))
    assert refused == (grpc.StatusCode.ALREADY_EXISTS, "MESSAGE_ID_CONFLICT"), refused
    first, second = conrad.waiting(), conrad.waiting()
    assert first == second, "what is not acknowledged comes again, the same"
    ((envelope_id, ciphertext, sender),) = first
    assert (ciphertext, sender) == (b"an opaque ciphertext", carla.address)
    conrad.acknowledge([envelope_id])
    assert conrad.waiting() == []
    # Live: what is sent while the stream is open comes in it, in order.
    stream = conrad.subscribe()
    assert event(stream).WhichOneof("event") == "queue_empty"
    sent = [f"message {n}".encode() for n in range(20)]
    for ciphertext in sent:
        carla.send(conrad, ciphertext)
    envelopes = [event(stream).envelope for _ in sent]
    assert [envelope.ciphertext for envelope in envelopes] == sent
    conrad.acknowledge([envelope.envelope_id for envelope in envelopes])
    stream.cancel()
    assert conrad.waiting() == []


def one_stream_both_ways_sends_receives_and_acknowledges(_program, channel) -> None:
    dora, dirk = joined("dora", channel), joined("dirk", channel)
    doras, dirks = Connection(dora), Connection(dirk)
    for connection in (doras, dirks):
        assert connection.next().WhichOneof("frame") == "queue_empty"
    letters = [dora.letter(dirk, f"frame {n}".encode()) for n in range(20)]
    for letter in letters:
        doras.say(messages.ConnectRequest(send=letter))
    answers = [doras.next().result for _ in letters]
    assert all(answer.WhichOneof("outcome") == "taken" for answer in answers), answers
    expected = {letter.client_message_id for letter in letters}
    assert {answer.client_message_id for answer in answers} == expected
    envelopes = [dirks.next().envelope for _ in letters]
    assert [e.ciphertext for e in envelopes] == [letter.messages[0].ciphertext for letter in letters]
    ids = [envelope.envelope_id for envelope in envelopes]
    dirks.say(messages.ConnectRequest(acknowledge=messages.AcknowledgeRequest(envelope_ids=ids)))
    # And one that is refused, by itself: the stream goes on.
    wrong = dirk.letter(dora, b"x")
    wrong.recipient = f"nobody@{SERVER}"
    dirks.say(messages.ConnectRequest(send=wrong))
    refused = dirks.next().result
    assert refused.refused.reason == messages.ERROR_REASON_ACCOUNT_UNKNOWN, refused
    dirks.say(messages.ConnectRequest(send=dirk.letter(dora, b"an answer")))
    assert dirks.next().result.WhichOneof("outcome") == "taken"
    assert doras.next().envelope.ciphertext == b"an answer"
    dirks.end()
    assert dirk.waiting() == [], "acknowledged in the stream"
    doras.end()


def a_stop_ends_streams_and_says_why(program, channel) -> None:
    emil = joined("emil", channel)
    stream = emil.subscribe()
    assert event(stream).WhichOneof("event") == "queue_empty"
    health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S)
    assert next(health).status == health_pb2.HealthCheckResponse.SERVING
    program.stop()
    assert next(health).status == health_pb2.HealthCheckResponse.NOT_SERVING
    refused = refusal(lambda: next(stream))
    assert refused == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"), refused


class Connection:
    """One `Connect` stream. What is said goes out as it is said."""

    def __init__(self, device: Device) -> None:
        self.outgoing: queue.SimpleQueue = queue.SimpleQueue()
        self.incoming = device.mailbox.Connect(iter(self.outgoing.get, None), **device.options())

    def say(self, request) -> None:
        self.outgoing.put(request)

    def next(self):
        """The next frame that is not a notice about prekeys, which may come at any time."""
        while True:
            answer = next(self.incoming)
            if answer.WhichOneof("frame") != "prekeys_low":
                return answer

    def end(self) -> None:
        """Says that nothing more comes, and hears that the server has done all that was asked."""
        self.outgoing.put(None)
        for answer in self.incoming:
            assert answer.WhichOneof("frame") in ("queue_empty", "prekeys_low"), answer


def event(stream):
    """The next event that is not a notice about prekeys, which may come at any time."""
    while True:
        answer = next(stream)
        if answer.WhichOneof("event") != "prekeys_low":
            return answer


def joined(name: str, channel) -> Device:
    device = Device(name, channel)
    device.register()
    device.sign_in()
    return device


ALL = (
    reflection_lists_and_describes_the_services,
    health_answers_for_the_server_and_each_service,
    the_server_says_who_it_is,
    an_account_is_registered_once_and_read_back,
    prekeys_are_handed_out_once,
    a_message_is_delivered_until_it_is_acknowledged,
    one_stream_both_ways_sends_receives_and_acknowledges,
    a_stop_ends_streams_and_says_why,
)

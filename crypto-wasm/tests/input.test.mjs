import assert from 'node:assert/strict';
import test from 'node:test';
import { NOW, accept, begin, person, read, sottovoce, talking, text, utf8, write } from './peers.mjs';

const {
  AccountKeyPair, IdentityKeyPair, KemPrekeyPair, OneTimePrekeyPair, Party, PrekeyBundle, Session, SessionMessage,
  SignedPrekeyPair, StorageKey, X3dhPrekeyBundle,
} = sottovoce;

/** Calls it and insists on a thrown Error: a trap would be a WebAssembly.RuntimeError. */
function refused(call, code) {
  assert.throws(call, (error) => {
    assert.ok(error instanceof Error && !(error instanceof WebAssembly.RuntimeError), String(error));
    if (code !== undefined) assert.equal(error.code, code);
    return true;
  });
}

const NOT_BYTES = [undefined, null, 'text', 7, [1, 2, 3], {}, new ArrayBuffer(32), new Uint16Array(32), () => {}];
const NOT_WHOLE = [undefined, null, '1', NaN, Infinity, -1, 1.5, 2 ** 53, 1n, {}];
const alice = person('alice@chat.example', 0xa1);
const bob = person('bob@chat.example', 0xb0);
const parts = ['alice@chat.example', alice.deviceId, AccountKeyPair.generate().publicKey(), alice.identity.publicKey()];

test('what is not a Uint8Array is refused wherever bytes are asked for', () => {
  const session = begin(alice, bob);
  const key = StorageKey.generate();
  const takers = [
    (value) => AccountKeyPair.fromSecretBytes(value),
    (value) => IdentityKeyPair.fromSecretBytes(value),
    (value) => SignedPrekeyPair.fromBytes(value),
    (value) => SignedPrekeyPair.generate(alice.identity, value, 1, NOW),
    (value) => OneTimePrekeyPair.fromBytes(value),
    (value) => KemPrekeyPair.fromBytes(value),
    (value) => KemPrekeyPair.generate(alice.identity, value, 'one-time', 1, NOW),
    (value) => X3dhPrekeyBundle.verify(bob.party, { ...bob.signedPrekey.toPublic(), statement: value }),
    (value) => X3dhPrekeyBundle.verify(bob.party, { ...bob.signedPrekey.toPublic(), signature: value }),
    (value) => new Party(parts[0], value, parts[2], parts[3]),
    (value) => new Party(parts[0], parts[1], value, parts[3]),
    (value) => new Party(parts[0], parts[1], parts[2], value),
    (value) => SessionMessage.decode(value),
    (value) => Session.fromBytes(value, []),
    (value) => Session.fromBytes(session.toBytes(), [value]),
    (value) => session.encrypt(value, NOW),
    (value) => StorageKey.fromBytes(value),
    (value) => key.seal(value, utf8('record')),
    (value) => key.seal(utf8('context'), value),
    (value) => key.open(value, utf8('record')),
    (value) => key.open(utf8('context'), value),
  ];
  for (const take of takers) {
    for (const value of NOT_BYTES) refused(() => take(value), 'NotBytes');
  }
});

test('bytes of a wrong length or shape are refused', () => {
  for (const length of [0, 1, 15, 31, 33, 4096]) {
    const value = new Uint8Array(length).fill(1);
    refused(() => AccountKeyPair.fromSecretBytes(value), 'WrongLength');
    refused(() => StorageKey.fromBytes(value), 'WrongLength');
    refused(() => new Party(parts[0], value, parts[2], parts[3]), 'WrongLength');
    refused(() => new Party(parts[0], parts[1], value, parts[3]), 'Malformed');
    refused(() => Session.fromBytes(value, []));
    refused(() => Session.fromBytes(begin(alice, bob).toBytes(), [value]), 'Malformed');
    refused(() => KemPrekeyPair.fromBytes(value));
    refused(() => SessionMessage.decode(value));
    refused(() => SignedPrekeyPair.fromBytes(value));
    refused(() => OneTimePrekeyPair.fromBytes(value));
  }
  // The identity point, and a coordinate that is not reduced.
  refused(() => new Party(parts[0], parts[1], new Uint8Array(32).fill(0xff), parts[3]), 'Malformed');
  refused(() => new Party(parts[0], parts[1], Uint8Array.from({ length: 32 }, (_, i) => Number(i === 0)), parts[3]), 'Malformed');
});

test('an array too large for the module is refused before it is copied', () => {
  const half = new Uint8Array(16 * 1024 * 1024 + 1);
  refused(() => SessionMessage.decode(new Uint8Array(32 * 1024 * 1024 + 1)), 'TooLong');
  refused(() => Session.fromBytes(half, [half, half]), 'TooLong');
  refused(() => Session.fromBytes(half, Array(2_001).fill(new Uint8Array(78))), 'TooLong');
});

test('addresses have one spelling', () => {
  for (const address of ['', 'alice', '@', 'Alice@chat.example', 'alice@', '@chat.example', 'a b@chat.example', 'x'.repeat(500)]) {
    refused(() => new Party(address, ...parts.slice(1)), 'Malformed');
  }
  refused(() => new Party('x'.repeat(2_000), ...parts.slice(1)), 'TooLong');
  refused(() => new Party('alice@chat.example\ud800', ...parts.slice(1)), 'Malformed');
  for (const address of [undefined, null, 5, {}, utf8('alice@chat.example')]) {
    refused(() => new Party(address, ...parts.slice(1)), 'NotText');
  }
  assert.equal(new Party(...parts).address, 'alice@chat.example');
});

test('numbers are whole and in range', () => {
  for (const number of NOT_WHOLE) {
    refused(() => OneTimePrekeyPair.generate(number), 'NotWhole');
    refused(() => SignedPrekeyPair.generate(alice.identity, alice.deviceId, 1, number), 'NotWhole');
    refused(() => KemPrekeyPair.generate(alice.identity, alice.deviceId, 'one-time', number, NOW), 'NotWhole');
    refused(() => begin(alice, bob).encrypt(utf8('when?'), number), 'NotWhole');
  }
  refused(() => OneTimePrekeyPair.generate(2 ** 32), 'TooLarge');
  refused(() => SignedPrekeyPair.generate(alice.identity, alice.deviceId, 0, NOW), 'Malformed');
  assert.equal(OneTimePrekeyPair.generate(2 ** 32 - 1).id, 2 ** 32 - 1);
});

test('a one-time prekey is an object with an id and a key', () => {
  const verify = (value) => PrekeyBundle.verify(bob.party, bob.signedPrekey.toPublic(), bob.kemPrekey.toPublic(), value);
  refused(() => verify(null), 'NotOneTimePrekey');
  refused(() => verify('prekey'), 'NotOneTimePrekey');
  refused(() => verify({}), 'NotWhole');
  refused(() => verify({ id: 7 }), 'NotBytes');
  refused(() => verify({ id: 7, publicKey: new Uint8Array(32) }), 'Malformed');
  refused(() => verify({ get id() { throw new Error('no'); } }));
  verify(bob.oneTimePrekey.toPublic());
});

test('a KEM prekey has one of two roles', () => {
  for (const role of [undefined, null, '', 'One-Time', 1, {}]) {
    refused(() => KemPrekeyPair.generate(alice.identity, alice.deviceId, role, 1, NOW), 'NotKemPrekeyRole');
  }
  refused(() => KemPrekeyPair.generate(alice.identity, alice.deviceId, 'one-time', 0, NOW), 'Malformed');
});

test('a statement is an object with a signature', () => {
  for (const value of [undefined, null, 'prekey', 7]) {
    refused(() => X3dhPrekeyBundle.verify(bob.party, value), 'NotStatement');
    refused(() => PrekeyBundle.verify(bob.party, bob.signedPrekey.toPublic(), value), 'NotStatement');
  }
});

test('skipped keys come as an array', () => {
  for (const value of [undefined, null, {}, new Uint8Array(78), 'records']) {
    refused(() => Session.fromBytes(begin(alice, bob).toBytes(), value), 'NotList');
  }
});

test('objects of another class, or freed ones, are refused', () => {
  const session = begin(alice, bob);
  refused(() => session.decrypt(alice.party, NOW));
  refused(() => session.decrypt({}, NOW));
  refused(() => Session.initiate(alice.party, alice.party, bob.party, undefined));
  const key = StorageKey.generate();
  key.free();
  refused(() => key.seal(utf8('context'), utf8('record')));
});

test('a message that begins no session is not accepted', () => {
  const { alice: a, bob: b } = talking();
  const message = SessionMessage.decode(write(b.session, 'hello'));
  refused(() => Session.accept(a.identity, a.party, b.party, a.signedPrekey, a.kemPrekey, message, NOW), 'NotInitial');
  refused(() => Session.acceptX3dh(a.identity, a.party, b.party, a.signedPrekey, message, NOW), 'NotInitial');
});

test('stored state with bytes cut off or changed never traps', () => {
  const { alice: a } = talking();
  const state = a.session.toBytes();
  for (let length = 0; length < state.length; length += 1) {
    refused(() => Session.fromBytes(state.slice(0, length), []));
  }
  for (let position = 0; position < state.length; position += 1) {
    const changed = state.slice();
    changed[position] ^= 0xff;
    try {
      const session = Session.fromBytes(changed, []);
      write(session, 'whatever this makes of it');
    } catch (error) {
      assert.ok(!(error instanceof WebAssembly.RuntimeError), `trapped at ${position}`);
    }
  }
});

test('a session with oneself is refused', () => {
  refused(() => begin(alice, alice), 'SameDevice');
});

test('sealed records open under their key and context only', () => {
  const key = StorageKey.generate();
  const sealed = key.seal(utf8('sessions/1'), utf8('record'));
  assert.equal(text(key.open(utf8('sessions/1'), sealed)), 'record');
  refused(() => key.open(utf8('sessions/2'), sealed), 'Refused');
  refused(() => StorageKey.generate().open(utf8('sessions/1'), sealed), 'Refused');
  refused(() => key.open(utf8('sessions/1'), sealed.slice(1)));
});

test('a passphrase and a salt give the same key each time', () => {
  const salt = new Uint8Array(16).fill(3);
  const [once, again] = [1, 2].map(() => StorageKey.fromPassphrase(utf8('correct horse'), salt));
  assert.equal(text(again.open(utf8('c'), once.seal(utf8('c'), utf8('record')))), 'record');
  refused(() => StorageKey.fromPassphrase(new Uint8Array(0), salt), 'Empty');
  refused(() => StorageKey.fromPassphrase(utf8('correct horse'), new Uint8Array(8)), 'WrongLength');
});

test('the module still works after all of these refusals', () => {
  const { alice: a, bob: b } = talking();
  assert.equal(read(a.session, write(b.session, 'unharmed')), 'unharmed');
  assert.equal(text(accept(b, a, write(begin(a, b), 'and well')).plaintext), 'and well');
});

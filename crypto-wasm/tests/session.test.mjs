import assert from 'node:assert/strict';
import test from 'node:test';
import { NOW, accept, begin, person, read, sottovoce, talking, text, write } from './peers.mjs';

const {
  KemPrekeyPair, OneTimePrekeyPair, PrekeyBundle, Session, SessionMessage, SignedPrekeyPair, X3dhPrekeyBundle,
} = sottovoce;
const DAY = 24 * 60 * 60 * 1_000;

const refusal = (name, code) => (error) => {
  assert.ok(error instanceof Error);
  assert.deepEqual([error.name, error.code], [name, code]);
  assert.ok(error.message.length > 0);
  return true;
};

test('a first message reaches somebody who was away', () => {
  const alice = person('alice@chat.example', 0xa1);
  const bob = person('bob@chat.example', 0xb0);
  const session = begin(alice, bob);
  const bytes = write(session, 'are you there?');

  const message = SessionMessage.decode(bytes);
  assert.equal(message.isInitial, true);
  assert.equal(message.signedPrekeyId, 1);
  assert.equal(message.oneTimePrekeyId, 7);
  assert.equal(message.kemPrekeyId, 9);
  assert.deepEqual([message.suite, session.suite], ['pqxdh', 'pqxdh']);
  const accepted = accept(bob, alice, bytes);
  assert.equal(text(accepted.plaintext), 'are you there?');
  assert.deepEqual(accepted.skipped, { added: [], removed: [] });
  assert.deepEqual(accepted.session.handshakeDigest, session.handshakeDigest);
  assert.deepEqual(message.handshakeDigest, session.handshakeDigest);
});

test('a first message needs no one-time prekey', () => {
  const alice = person('alice@chat.example', 0xa1);
  const bob = person('bob@chat.example', 0xb0);
  for (const suite of ['pqxdh', 'x3dh']) {
    const bytes = write(begin(alice, bob, { oneTime: false, suite, kemPrekey: bob.lastResortPrekey }), 'hello');
    const message = SessionMessage.decode(bytes);
    assert.equal(message.oneTimePrekeyId, undefined);
    assert.equal(message.kemPrekeyId, suite === 'pqxdh' ? 8 : undefined);
    assert.equal(text(accept(bob, alice, bytes).plaintext), 'hello');
  }
});

test('plain X3DH has to be asked for on both sides', () => {
  const { alice, bob } = talking({ suite: 'x3dh' });
  assert.deepEqual([alice.session.suite, bob.session.suite], ['x3dh', 'x3dh']);
  assert.equal(read(alice.session, write(bob.session, 'as of old')), 'as of old');

  const who = [bob.identity, bob.party, alice.party, bob.signedPrekey];
  const classical = SessionMessage.decode(write(begin(alice, bob, { suite: 'x3dh' }), 'hello'));
  assert.equal(classical.suite, 'x3dh');
  assert.throws(
    () => Session.acceptWithOneTimePrekey(...who, bob.kemPrekey, bob.oneTimePrekey, classical, NOW),
    refusal('HandshakeError', 'OtherSuite'),
  );
  const quantum = SessionMessage.decode(write(begin(alice, bob), 'hello'));
  assert.throws(
    () => Session.acceptX3dhWithOneTimePrekey(...who, bob.oneTimePrekey, quantum, NOW),
    refusal('HandshakeError', 'OtherSuite'),
  );
});

test('two people who write again after a week exchange new post-quantum keys', () => {
  const { alice, bob } = talking();
  const sizes = [];
  let now = NOW;
  for (const [writer, reader] of [[bob, alice], [alice, bob], [bob, alice], [alice, bob]]) {
    const bytes = write(writer.session, 'a week later', now);
    assert.equal(read(reader.session, bytes, now), 'a week later');
    sizes.push(bytes.length);
    if (sizes.length === 1) now += 7 * DAY;
  }
  // A key of 1,184 bytes, then a ciphertext of 1,088 for it, each with one byte that says so.
  assert.deepEqual(sizes.map((size) => size - sizes[0]), [0, 1_185, 1_089, 0]);
});

test('keys of late messages are records to keep apart from the session', () => {
  const { alice, bob } = talking();
  const [first, second, third] = ['one', 'two', 'three'].map((words) => write(bob.session, words));
  const { skipped } = alice.session.decrypt(SessionMessage.decode(third), NOW);
  assert.equal(skipped.added.length, 2);
  assert.ok(skipped.added.every(({ id, bytes }) => id.length === 36 && bytes.length === 78));
  assert.deepEqual(skipped.removed, []);
  assert.deepEqual(alice.session.skippedKeys(), skipped.added);

  const records = skipped.added.map(({ bytes }) => bytes);
  const restored = Session.fromBytes(alice.session.toBytes(), records.reverse());
  const opened = restored.decrypt(SessionMessage.decode(first), NOW);
  assert.equal(text(opened.plaintext), 'one');
  assert.deepEqual(opened.skipped, { added: [], removed: [skipped.added[0].id] });
  assert.equal(read(restored, second), 'two');
  assert.deepEqual(restored.skippedKeys(), []);

  const forgetful = Session.fromBytes(alice.session.toBytes(), []);
  assert.throws(() => read(forgetful, first), refusal('DecryptError', 'Undecryptable'));
  assert.throws(() => Session.fromBytes(bob.session.toBytes(), [records[0], records[0]]), refusal('StateError', 'Malformed'));
});

test('two people talk both ways while messages overtake each other', () => {
  const { alice, bob } = talking();
  const toAlice = ['one', 'two', 'three'].map((words) => write(bob.session, words));
  assert.equal(read(alice.session, toAlice[2]), 'three');
  assert.equal(read(alice.session, toAlice[0]), 'one');

  const toBob = ['four', 'five'].map((words) => write(alice.session, words));
  assert.equal(SessionMessage.decode(toBob[0]).isInitial, false);
  assert.equal(SessionMessage.decode(toBob[0]).handshakeDigest, undefined);
  assert.equal(read(bob.session, toBob[1]), 'five');
  assert.equal(read(alice.session, toAlice[1]), 'two');
  assert.equal(read(bob.session, toBob[0]), 'four');
});

test('the ciphertext shows neither the words nor their length', () => {
  const { alice } = talking();
  const short = write(alice.session, 'yes');
  const longer = write(alice.session, 'no, and I shall tell you at some length why not');
  assert.equal(short.length, longer.length);
  assert.equal(Buffer.from(longer).includes('at some length'), false);
});

test('a message with any byte changed is refused and leaves the session as it was', () => {
  const { alice, bob } = talking();
  const bytes = write(bob.session, 'meet me at nine');
  const before = alice.session.toBytes();
  for (let position = 0; position < bytes.length; position += 1) {
    const tampered = bytes.slice();
    tampered[position] ^= 0x01;
    assert.throws(
      () => read(alice.session, tampered),
      (error) => ['DecodeError', 'DecryptError'].includes(error.name) && typeof error.code === 'string',
    );
  }
  assert.deepEqual(alice.session.toBytes(), before);
  assert.equal(read(alice.session, bytes), 'meet me at nine');
});

test('a message is read once', () => {
  const { alice, bob } = talking();
  const bytes = write(bob.session, 'once');
  assert.equal(read(alice.session, bytes), 'once');
  assert.throws(() => read(alice.session, bytes), refusal('DecryptError', 'Undecryptable'));
});

test('a message of another session is told apart from a forgery', () => {
  const { alice, bob } = talking();
  const bytes = write(begin(alice, bob), 'again');
  assert.throws(() => read(bob.session, bytes), refusal('DecryptError', 'OtherSession'));
  assert.equal(text(accept(bob, alice, bytes).plaintext), 'again');
});

test('a prekey that somebody else signed begins no session', () => {
  const bob = person('bob@chat.example', 0xb0);
  const mallory = person('mallory@chat.example', 0xb0);
  const [ours, theirs] = [mallory, bob].map(({ signedPrekey, kemPrekey }) => [signedPrekey.toPublic(), kemPrekey.toPublic()]);
  const forgeries = [
    () => PrekeyBundle.verify(bob.party, ours[0], theirs[1]),
    () => PrekeyBundle.verify(bob.party, theirs[0], ours[1]),
    () => X3dhPrekeyBundle.verify(bob.party, ours[0]),
  ];
  for (const forgery of forgeries) assert.throws(forgery, refusal('VerifyError', 'BadSignature'));
  // A statement of one kind is none of another.
  assert.throws(() => PrekeyBundle.verify(bob.party, theirs[1], theirs[1]), refusal('StatementError', 'Malformed'));
});

test('an impostor cannot take up a session meant for another', () => {
  const [alice, bob, mallory] = ['alice', 'bob', 'mallory'].map((name, i) => person(`${name}@chat.example`, i));
  const bytes = write(begin(alice, bob), 'for bob');
  const message = SessionMessage.decode(bytes);
  assert.throws(
    () =>
      Session.acceptWithOneTimePrekey(
        mallory.identity, mallory.party, alice.party, mallory.signedPrekey, mallory.kemPrekey, mallory.oneTimePrekey,
        message, NOW,
      ),
    refusal('HandshakeError', 'Refused'),
  );
  assert.throws(
    () => Session.accept(bob.identity, bob.party, alice.party, bob.signedPrekey, bob.kemPrekey, message, NOW),
    refusal('HandshakeError', 'OtherPrekeys'),
  );
  assert.equal(text(accept(bob, alice, bytes).plaintext), 'for bob');
});

test('sessions and prekeys survive being stored', () => {
  const { alice, bob } = talking();
  alice.session = Session.fromBytes(alice.session.toBytes(), []);
  bob.session = Session.fromBytes(bob.session.toBytes(), []);
  assert.equal(read(alice.session, write(bob.session, 'still here')), 'still here');

  bob.signedPrekey = SignedPrekeyPair.fromBytes(bob.signedPrekey.toBytes());
  bob.oneTimePrekey = OneTimePrekeyPair.fromBytes(bob.oneTimePrekey.toBytes());
  bob.kemPrekey = KemPrekeyPair.fromBytes(bob.kemPrekey.toBytes());
  assert.deepEqual([bob.kemPrekey.id, bob.kemPrekey.role, bob.lastResortPrekey.role], [9, 'one-time', 'last-resort']);
  const bytes = write(begin(alice, bob), 'a new session');
  assert.equal(text(accept(bob, alice, bytes).plaintext), 'a new session');
});

test('the longest message fits, and one byte more is refused', () => {
  const { alice, bob } = talking();
  const longest = new Uint8Array(65_536).fill(0x2a);
  const message = SessionMessage.decode(bob.session.encrypt(longest, NOW));
  assert.deepEqual(alice.session.decrypt(message, NOW).plaintext, longest);
  assert.throws(() => bob.session.encrypt(new Uint8Array(65_537), NOW), refusal('EncryptError', 'TooLong'));
  assert.equal(read(alice.session, write(bob.session, 'after that')), 'after that');
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { NOW, accept, begin, person, read, sottovoce, talking, text, utf8 } from './peers.mjs';

const { OneTimePrekeyPair, PrekeyBundle, Session, SessionMessage, SignedPrekeyPair } = sottovoce;

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
  const bytes = session.encrypt(utf8('are you there?'));

  const message = SessionMessage.decode(bytes);
  assert.equal(message.isInitial, true);
  assert.equal(message.signedPrekeyId, 1);
  assert.equal(message.oneTimePrekeyId, 7);
  const accepted = accept(bob, alice, bytes);
  assert.equal(text(accepted.plaintext), 'are you there?');
  assert.deepEqual(accepted.session.handshakeDigest, session.handshakeDigest);
  assert.deepEqual(message.handshakeDigest, session.handshakeDigest);
});

test('a first message needs no one-time prekey', () => {
  const alice = person('alice@chat.example', 0xa1);
  const bob = person('bob@chat.example', 0xb0);
  const bytes = begin(alice, bob, { oneTime: false }).encrypt(utf8('hello'));
  assert.equal(SessionMessage.decode(bytes).oneTimePrekeyId, undefined);
  assert.equal(text(accept(bob, alice, bytes).plaintext), 'hello');
});

test('two people talk both ways while messages overtake each other', () => {
  const { alice, bob } = talking();
  const toAlice = ['one', 'two', 'three'].map((words) => bob.session.encrypt(utf8(words)));
  assert.equal(read(alice.session, toAlice[2]), 'three');
  assert.equal(read(alice.session, toAlice[0]), 'one');

  const toBob = ['four', 'five'].map((words) => alice.session.encrypt(utf8(words)));
  assert.equal(SessionMessage.decode(toBob[0]).isInitial, false);
  assert.equal(SessionMessage.decode(toBob[0]).handshakeDigest, undefined);
  assert.equal(read(bob.session, toBob[1]), 'five');
  assert.equal(read(alice.session, toAlice[1]), 'two');
  assert.equal(read(bob.session, toBob[0]), 'four');
});

test('the ciphertext shows neither the words nor their length', () => {
  const { alice } = talking();
  const short = alice.session.encrypt(utf8('yes'));
  const longer = alice.session.encrypt(utf8('no, and I shall tell you at some length why not'));
  assert.equal(short.length, longer.length);
  assert.equal(Buffer.from(longer).includes('at some length'), false);
});

test('a message with any byte changed is refused and leaves the session as it was', () => {
  const { alice, bob } = talking();
  const bytes = bob.session.encrypt(utf8('meet me at nine'));
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
  const bytes = bob.session.encrypt(utf8('once'));
  assert.equal(read(alice.session, bytes), 'once');
  assert.throws(() => read(alice.session, bytes), refusal('DecryptError', 'Undecryptable'));
});

test('a message of another session is told apart from a forgery', () => {
  const { alice, bob } = talking();
  const bytes = begin(alice, bob).encrypt(utf8('again'));
  assert.throws(() => read(bob.session, bytes), refusal('DecryptError', 'OtherSession'));
  assert.equal(text(accept(bob, alice, bytes).plaintext), 'again');
});

test('a prekey that somebody else signed begins no session', () => {
  const bob = person('bob@chat.example', 0xb0);
  const mallory = person('mallory@chat.example', 0xb0);
  assert.throws(
    () => PrekeyBundle.verify(bob.party, mallory.signedPrekey.statement(), mallory.signedPrekey.signature()),
    refusal('VerifyError', 'BadSignature'),
  );
});

test('an impostor cannot take up a session meant for another', () => {
  const [alice, bob, mallory] = ['alice', 'bob', 'mallory'].map((name, i) => person(`${name}@chat.example`, i));
  const bytes = begin(alice, bob).encrypt(utf8('for bob'));
  const message = SessionMessage.decode(bytes);
  assert.throws(
    () =>
      Session.acceptWithOneTimePrekey(
        mallory.identity, mallory.party, alice.party, mallory.signedPrekey, mallory.oneTimePrekey, message, NOW,
      ),
    refusal('HandshakeError', 'Refused'),
  );
  assert.throws(
    () => Session.accept(bob.identity, bob.party, alice.party, bob.signedPrekey, message, NOW),
    refusal('HandshakeError', 'OtherPrekeys'),
  );
  assert.equal(text(accept(bob, alice, bytes).plaintext), 'for bob');
});

test('sessions and prekeys survive being stored', () => {
  const { alice, bob } = talking();
  alice.session = Session.fromBytes(alice.session.toBytes());
  bob.session = Session.fromBytes(bob.session.toBytes());
  assert.equal(read(alice.session, bob.session.encrypt(utf8('still here'))), 'still here');

  bob.signedPrekey = SignedPrekeyPair.fromBytes(bob.signedPrekey.toBytes());
  bob.oneTimePrekey = OneTimePrekeyPair.fromBytes(bob.oneTimePrekey.toBytes());
  const bytes = begin(alice, bob).encrypt(utf8('a new session'));
  assert.equal(text(accept(bob, alice, bytes).plaintext), 'a new session');
});

test('the longest message fits, and one byte more is refused', () => {
  const { alice, bob } = talking();
  const longest = new Uint8Array(65_536).fill(0x2a);
  const message = SessionMessage.decode(bob.session.encrypt(longest));
  assert.deepEqual(alice.session.decrypt(message, NOW), longest);
  assert.throws(() => bob.session.encrypt(new Uint8Array(65_537)), refusal('EncryptError', 'TooLong'));
  assert.equal(read(alice.session, bob.session.encrypt(utf8('after that'))), 'after that');
});

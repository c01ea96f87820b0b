// Two people and what they need to talk, for the tests beside this file. They load the package by its
// name, as an application would.
import { createRequire } from 'node:module';
import { webcrypto } from 'node:crypto';

// Node.js 18 has the random generator, but not under the name that browsers give it.
globalThis.crypto ??= webcrypto;

export const sottovoce = createRequire(import.meta.url)('@sottovoce/crypto');
const {
  AccountKeyPair, IdentityKeyPair, KemPrekeyPair, OneTimePrekeyPair, Party, PrekeyBundle, Session, SessionMessage,
  SignedPrekeyPair, X3dhPrekeyBundle,
} = sottovoce;

export const NOW = 1_800_000_000_000;
export const utf8 = (text) => new TextEncoder().encode(text);
export const text = (bytes) => new TextDecoder().decode(bytes);

/** One device of one account, with prekeys it would publish. */
export function person(address, idByte) {
  const account = AccountKeyPair.generate();
  const identity = IdentityKeyPair.generate();
  const deviceId = new Uint8Array(16).fill(idByte);
  return {
    deviceId,
    identity,
    party: new Party(address, deviceId, account.publicKey(), identity.publicKey()),
    signedPrekey: SignedPrekeyPair.generate(identity, deviceId, 1, NOW),
    oneTimePrekey: OneTimePrekeyPair.generate(7),
    kemPrekey: KemPrekeyPair.generate(identity, deviceId, 'one-time', 9, NOW),
    lastResortPrekey: KemPrekeyPair.generate(identity, deviceId, 'last-resort', 8, NOW),
  };
}

/** What `writer` makes of the prekeys of `reader`: a session that `reader` does not know of yet. */
export function begin(writer, reader, { oneTime = true, suite = 'pqxdh', kemPrekey = reader.kemPrekey } = {}) {
  const signedPrekey = reader.signedPrekey.toPublic();
  const oneTimePrekey = oneTime ? reader.oneTimePrekey.toPublic() : undefined;
  if (suite === 'x3dh') {
    const bundle = X3dhPrekeyBundle.verify(reader.party, signedPrekey, oneTimePrekey);
    return Session.initiateX3dh(writer.identity, writer.party, reader.party, bundle, NOW);
  }
  const bundle = PrekeyBundle.verify(reader.party, signedPrekey, kemPrekey.toPublic(), oneTimePrekey);
  return Session.initiate(writer.identity, writer.party, reader.party, bundle, NOW);
}

/** Takes up the session that `bytes`, from `writer`, begin. */
export function accept(reader, writer, bytes) {
  const message = SessionMessage.decode(bytes);
  const who = [reader.identity, reader.party, writer.party, reader.signedPrekey];
  const oneTime = message.oneTimePrekeyId === undefined ? [] : [reader.oneTimePrekey];
  const kem = [reader.kemPrekey, reader.lastResortPrekey].filter((prekey) => prekey.id === message.kemPrekeyId);
  const way = message.suite === 'x3dh' ? 'acceptX3dh' : 'accept';
  return Session[oneTime.length === 0 ? way : `${way}WithOneTimePrekey`](...who, ...kem, ...oneTime, message, NOW);
}

/** Alice and Bob, each with their side of one session, after Alice's first message. */
export function talking(options) {
  const alice = person('alice@chat.example', 0xa1);
  const bob = person('bob@chat.example', 0xb0);
  alice.session = begin(alice, bob, options);
  bob.session = accept(bob, alice, alice.session.encrypt(utf8('hello'), NOW)).session;
  return { alice, bob };
}

/** Encrypts a text. */
export function write(session, words, now = NOW) {
  return session.encrypt(utf8(words), now);
}

/** Decrypts to text. */
export function read(session, bytes, now = NOW) {
  return text(session.decrypt(SessionMessage.decode(bytes), now).plaintext);
}

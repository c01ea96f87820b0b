// Two people and what they need to talk, for the tests beside this file. They load the package by its
// name, as an application would.
import { createRequire } from 'node:module';
import { webcrypto } from 'node:crypto';

// Node.js 18 has the random generator, but not under the name that browsers give it.
globalThis.crypto ??= webcrypto;

export const sottovoce = createRequire(import.meta.url)('@sottovoce/crypto');
const { AccountKeyPair, IdentityKeyPair, OneTimePrekeyPair, Party, PrekeyBundle, Session, SessionMessage, SignedPrekeyPair } =
  sottovoce;

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
  };
}

/** What `writer` makes of the prekeys of `reader`: a session that `reader` does not know of yet. */
export function begin(writer, reader, { oneTime = true } = {}) {
  const { signedPrekey, oneTimePrekey } = reader;
  const bundle = PrekeyBundle.verify(
    reader.party,
    signedPrekey.statement(),
    signedPrekey.signature(),
    oneTime ? oneTimePrekey.toPublic() : undefined,
  );
  return Session.initiate(writer.identity, writer.party, reader.party, bundle);
}

/** Takes up the session that `bytes`, from `writer`, begin. */
export function accept(reader, writer, bytes) {
  const message = SessionMessage.decode(bytes);
  return message.oneTimePrekeyId === undefined
    ? Session.accept(reader.identity, reader.party, writer.party, reader.signedPrekey, message, NOW)
    : Session.acceptWithOneTimePrekey(
        reader.identity, reader.party, writer.party, reader.signedPrekey, reader.oneTimePrekey, message, NOW,
      );
}

/** Alice and Bob, each with their side of one session, after Alice's first message. */
export function talking() {
  const alice = person('alice@chat.example', 0xa1);
  const bob = person('bob@chat.example', 0xb0);
  alice.session = begin(alice, bob);
  bob.session = accept(bob, alice, alice.session.encrypt(utf8('hello'))).session;
  return { alice, bob };
}

/** Decrypts to text. */
export function read(session, bytes) {
  return text(session.decrypt(SessionMessage.decode(bytes), NOW));
}

//! Sessions with the devices of others, and which of them to send with.
//!
//! A device can have several: two sides may begin at once, and a broken session is followed by a new
//! one. A session is bound to the keys it was made with, and is worth nothing under others.
//!
//! ```text
//!             opens a message, while the sending one is not settled
//!   other ◀──────────────────────────────────────────────────────▶ sending
//!     │      both settled: the smaller digest is the sending one      │
//!     │ 7 days after the sending one has settled                      │ a new one is made, and this
//!     ▼                                                               ▼ one is settled
//!   erased ◀──────────────── 7 days ──────────────────────────────  retired: opens late messages only
//! ```

use std::collections::BTreeMap;

use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{EncryptError, Party, Session, SessionMessage};
use zeroize::Zeroizing;

use crate::records::{RecordError, hex, pack, u64_of, unpack};
use crate::turn::Turn;

/// Most sessions kept with one device. Both sides beginning at once makes two; a few more allow for
/// sessions that broke.
const SESSIONS_PER_DEVICE: usize = 5;

/// How long a session that is not the sending one stays, once the sending one has settled: long enough
/// for messages on their way, short enough that a session stolen long ago opens nothing.
const OTHERS_KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// A session that nothing was ever opened in is followed by another one after this time, with other
/// prekeys: perhaps it never arrived in a form that could be accepted.
const UNANSWERED_MS: u64 = 3 * 24 * 60 * 60 * 1000;

struct Held {
    session: Session,
    /// The peer's account key and identity key it was made with.
    keys: [[u8; 32]; 2],
    /// When it became the sending one, as a count; the highest is the one in use.
    used: u64,
    /// Unix time in milliseconds.
    made_at: u64,
    /// Whether anything was opened in it.
    answered: bool,
    /// Whether anything was sent in it.
    sent: bool,
    /// Whether something was opened in it after that: both sides have it.
    settled: bool,
    /// Whether a later session has replaced it: it never sends again.
    retired: bool,
    /// Since when it has been beside a settled one, Unix time in milliseconds; 0 if it is not.
    beside_since: u64,
}

/// All sessions, by device; of each device, the sending one first.
#[derive(Default)]
pub(crate) struct Sessions(BTreeMap<(Address, DeviceId), Vec<Held>>);

impl Sessions {
    /// Whether there is a session to send with to this very device, under its present keys.
    pub(crate) fn has(&self, them: &Party, now: u64) -> bool {
        let unanswered = |held: &Held| !held.answered && now.saturating_sub(held.made_at) >= UNANSWERED_MS;
        self.of(them).next().is_some_and(|sending| !unanswered(sending))
    }

    /// Whether a session came of this very handshake.
    pub(crate) fn knows(&self, them: &Party, handshake: &[u8; 32]) -> bool {
        self.of(them)
            .any(|held| held.session.handshake_digest() == *handshake)
    }

    /// Takes a session that we have begun into use.
    pub(crate) fn begun(&mut self, them: &Party, session: Session, turn: &mut Turn<'_>) {
        self.add(them, session, false, turn);
    }

    /// Takes a session that they have begun into use.
    pub(crate) fn accepted(&mut self, them: &Party, session: Session, turn: &mut Turn<'_>) {
        self.add(them, session, true, turn);
    }

    /// Those that had settled retire.
    fn add(&mut self, them: &Party, session: Session, answered: bool, turn: &mut Turn<'_>) {
        self.erase_foreign(them, turn);
        let sessions = self.0.entry(name(them)).or_default();
        for held in sessions.iter_mut().filter(|held| held.settled && !held.retired) {
            held.retired = true;
            held.beside_since = turn.now.max(1);
            turn.put(key(them, &held.session), held.to_record(them.device_id));
        }
        let held = Held {
            session,
            keys: keys(them),
            used: turn.counters.session_use(),
            made_at: turn.now,
            answered,
            sent: false,
            settled: false,
            retired: false,
            beside_since: 0,
        };
        turn.put(key(them, &held.session), held.to_record(them.device_id));
        sessions.insert(0, held);
        for forgotten in sessions.drain(SESSIONS_PER_DEVICE.min(sessions.len())..) {
            turn.delete(key(them, &forgotten.session));
        }
    }

    /// Encrypts with the session in use; `None` where there is none.
    pub(crate) fn encrypt(
        &mut self,
        them: &Party,
        plaintext: &[u8],
        turn: &mut Turn<'_>,
    ) -> Option<Result<Vec<u8>, EncryptError>> {
        self.erase_foreign(them, turn);
        let held = self.0.get_mut(&name(them))?.first_mut()?;
        let ciphertext = held.session.encrypt(turn.rng, plaintext);
        if ciphertext.is_ok() {
            held.sent = true;
            turn.put(key(them, &held.session), held.to_record(them.device_id));
        }
        Some(ciphertext)
    }

    /// Decrypts with whichever session fits. `None` where none does, with nothing changed.
    pub(crate) fn decrypt(
        &mut self,
        them: &Party,
        message: &SessionMessage,
        turn: &mut Turn<'_>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let bound = keys(them);
        let sessions = self.0.get_mut(&name(them))?;
        let (position, plaintext) = sessions.iter_mut().enumerate().find_map(|(position, held)| {
            let fits = match message {
                SessionMessage::Initial(initial) => {
                    initial.handshake_digest() == held.session.handshake_digest()
                }
                SessionMessage::Ratchet(_) => true,
            };
            if !fits || held.keys != bound {
                return None;
            }
            let plaintext = held.session.decrypt(turn.now, message).ok()?;
            held.answered = true;
            held.settled |= held.sent;
            Some((position, plaintext))
        })?;
        if position > 0 && is_preferred(sessions, position) {
            let mut held = sessions.remove(position);
            held.used = turn.counters.session_use();
            held.beside_since = 0;
            turn.put(key(them, &held.session), held.to_record(them.device_id));
            sessions.insert(0, held);
        } else if let Some(held) = sessions.get(position) {
            turn.put(key(them, &held.session), held.to_record(them.device_id));
        }
        note_beside(them, sessions, turn);
        Some(plaintext)
    }

    /// Erases what has been beside a settled session for long enough.
    pub(crate) fn maintain(&mut self, turn: &mut Turn<'_>) {
        for ((address, device_id), sessions) in &mut self.0 {
            sessions.retain(|held| {
                let over =
                    held.beside_since != 0 && turn.now.saturating_sub(held.beside_since) >= OTHERS_KEPT_MS;
                if over {
                    turn.delete(record_key(address, *device_id, &held.session));
                }
                !over
            });
        }
        self.0.retain(|_, sessions| !sessions.is_empty());
    }

    /// Forgets every session with an address: nobody there is known.
    pub(crate) fn forget(&mut self, address: &Address, turn: &mut Turn<'_>) {
        self.0.retain(|(of, device_id), sessions| {
            if of == address {
                sessions
                    .iter()
                    .for_each(|held| turn.delete(record_key(of, *device_id, &held.session)));
            }
            of != address
        });
    }

    pub(crate) fn load(&mut self, rest: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let (address, _) = rest.split_once('/').ok_or(RecordError)?;
        let address = Address::parse(address).map_err(|_| RecordError)?;
        let (device_id, held) = Held::from_record(bytes)?;
        let sessions = self.0.entry((address, device_id)).or_default();
        sessions.push(held);
        sessions.sort_by_key(|held| std::cmp::Reverse(held.used));
        Ok(())
    }

    fn of<'a>(&'a self, them: &Party) -> impl Iterator<Item = &'a Held> {
        let bound = keys(them);
        self.0
            .get(&name(them))
            .into_iter()
            .flatten()
            .filter(move |held| held.keys == bound)
    }

    /// Sessions made with other keys than the device has now are with somebody else.
    fn erase_foreign(&mut self, them: &Party, turn: &mut Turn<'_>) {
        let bound = keys(them);
        if let Some(sessions) = self.0.get_mut(&name(them)) {
            sessions.retain(|held| {
                if held.keys != bound {
                    turn.delete(key(them, &held.session));
                }
                held.keys == bound
            });
        }
    }
}

impl Held {
    fn to_record(&self, device_id: DeviceId) -> Zeroizing<Vec<u8>> {
        let [account_key, identity_key] = &self.keys;
        pack(&[
            device_id.as_bytes(),
            account_key,
            identity_key,
            &self.used.to_be_bytes(),
            &self.made_at.to_be_bytes(),
            &[self.answered, self.sent, self.settled, self.retired].map(u8::from),
            &self.beside_since.to_be_bytes(),
            &self.session.to_bytes(),
        ])
    }

    fn from_record(bytes: &[u8]) -> Result<(DeviceId, Self), RecordError> {
        let fields = unpack(bytes)?;
        let [
            device_id,
            account_key,
            identity_key,
            used,
            made_at,
            flags,
            beside_since,
            session,
        ] = fields.as_slice()
        else {
            return Err(RecordError);
        };
        let [answered, sent, settled, retired] = flags else {
            return Err(RecordError);
        };
        let fixed = |bytes: &[u8]| bytes.try_into().map_err(|_| RecordError);
        let held = Self {
            session: Session::from_bytes(session).map_err(|_| RecordError)?,
            keys: [fixed(account_key)?, fixed(identity_key)?],
            used: u64_of(used)?,
            made_at: u64_of(made_at)?,
            answered: *answered != 0,
            sent: *sent != 0,
            settled: *settled != 0,
            retired: *retired != 0,
            beside_since: u64_of(beside_since)?,
        };
        Ok((DeviceId::from_slice(device_id).map_err(|_| RecordError)?, held))
    }
}

/// Whether the session at `position`, which has just opened a message, is the one to send with now.
fn is_preferred(sessions: &[Held], position: usize) -> bool {
    let (Some(present), Some(other)) = (sessions.first(), sessions.get(position)) else {
        return false;
    };
    if other.retired {
        return false;
    }
    !present.settled
        || (other.settled && other.session.handshake_digest() < present.session.handshake_digest())
}

/// Once the sending session has settled, the days of the others are counted.
fn note_beside(them: &Party, sessions: &mut [Held], turn: &mut Turn<'_>) {
    let Some((sending, others)) = sessions.split_first_mut() else {
        return;
    };
    if !sending.settled {
        return;
    }
    for held in others.iter_mut().filter(|held| held.beside_since == 0) {
        held.beside_since = turn.now.max(1);
        turn.put(key(them, &held.session), held.to_record(them.device_id));
    }
}

fn name(them: &Party) -> (Address, DeviceId) {
    (them.address.clone(), them.device_id)
}

fn keys(them: &Party) -> [[u8; 32]; 2] {
    [*them.account_key.as_bytes(), *them.identity_key.as_bytes()]
}

fn key(them: &Party, session: &Session) -> String {
    record_key(&them.address, them.device_id, session)
}

fn record_key(address: &Address, device_id: DeviceId, session: &Session) -> String {
    format!(
        "session/{address}/{device_id}/{}",
        hex(&session.handshake_digest())
    )
}

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
//!   erased ◀── 7 days after the other side has the new one ───────  retired: opens messages, sends none
//! ```

use std::collections::BTreeMap;

use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{Decrypted, EncryptError, Party, Session, SessionMessage};
use zeroize::Zeroizing;

use crate::held_session::Held;
use crate::records::RecordError;
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

/// All sessions, by device; of each device, the sending one first.
#[derive(Default)]
pub(crate) struct Sessions(BTreeMap<(Address, DeviceId), Vec<Held>>);

impl Sessions {
    /// Whether there is a session to send with to this very device, under its present keys, which nothing
    /// speaks against.
    pub(crate) fn has(&self, them: &Party, now: u64) -> bool {
        let renewable = |held: &Held| held.doubted && held.may_be_renewed(now);
        self.of(them)
            .next()
            .is_some_and(|sending| !is_unanswered(sending, now) && !renewable(sending))
    }

    /// Whether the session that is sent with may be replaced: it has not been tried for a while.
    pub(crate) fn may_be_renewed(&self, them: &Party, now: u64) -> bool {
        self.of(them)
            .next()
            .is_none_or(|sending| sending.may_be_renewed(now))
    }

    /// Whether a session with this device is one that both sides have had, and sending can go on without
    /// another: it is given up for one that is as good, and for no other.
    pub(crate) fn can_go_on(&self, them: &Party, now: u64) -> bool {
        let sending = self.of(them).next();
        sending.is_some_and(|sending| !is_unanswered(sending, now)) && self.of(them).any(|held| held.settled)
    }

    /// Something in the device's name could not be opened: the next message to it begins a new session,
    /// unless something that can be opened comes before.
    pub(crate) fn doubt(&mut self, them: &Party, turn: &mut Turn<'_>) {
        if let Some(held) = self.sending(them)
            && !held.doubted
        {
            held.doubted = true;
            held.put(turn);
        }
    }

    /// A new session was asked for and is not to be had: that is not tried again for a while.
    pub(crate) fn not_renewed(&mut self, them: &Party, turn: &mut Turn<'_>) {
        if let Some(held) = self.sending(them) {
            held.renewed_at = turn.now;
            held.put(turn);
        }
    }

    /// Whether a session came of this very handshake.
    pub(crate) fn knows(&self, them: &Party, handshake: &[u8; 32]) -> bool {
        self.of(them)
            .any(|held| held.session.handshake_digest() == *handshake)
    }

    /// Takes a session that we have begun into use.
    pub(crate) fn begun(&mut self, them: &Party, session: Session, turn: &mut Turn<'_>) {
        let mut held = Held::new(them, session, false, turn);
        if self.of(them).next().is_some() {
            held.renewed_at = turn.now;
        }
        self.add(them, held, turn);
    }

    /// Takes a session that they have begun into use; what came out of its first message is given back.
    pub(crate) fn accepted(
        &mut self,
        them: &Party,
        session: Session,
        first: Decrypted,
        turn: &mut Turn<'_>,
    ) -> Zeroizing<Vec<u8>> {
        let held = Held::new(them, session, true, turn);
        held.put_skipped(&first.skipped, turn);
        self.add(them, held, turn);
        first.plaintext
    }

    /// Those that had settled retire, and so do those beside one: the new one has not settled, and would
    /// give way to them.
    fn add(&mut self, them: &Party, new: Held, turn: &mut Turn<'_>) {
        self.erase_foreign(them, turn);
        let sessions = self.0.entry(name(them)).or_default();
        for held in sessions
            .iter_mut()
            .filter(|held| held.has_had_its_time() && !held.retired)
        {
            held.retired = true;
            if new.answered {
                // The other side has the new one. Of one that we have begun that is not known yet.
                held.beside_since = turn.now.max(1);
            }
            held.put(turn);
        }
        new.put(turn);
        sessions.insert(0, new);
        while sessions.len() > SESSIONS_PER_DEVICE {
            let displaced = displaced(sessions);
            sessions.remove(displaced).erase(turn);
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
        let ciphertext = held.session.encrypt(turn.rng, turn.now, plaintext);
        if ciphertext.is_ok() {
            held.sent = true;
            held.put(turn);
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
        let sessions = self.0.get_mut(&name(them))?;
        let (position, decrypted) = sessions.iter_mut().enumerate().find_map(|(position, held)| {
            let fits = match message {
                SessionMessage::Initial(initial) => {
                    initial.handshake_digest() == held.session.handshake_digest()
                }
                SessionMessage::Ratchet(_) => true,
            };
            if !fits || !held.is_with(them) {
                return None;
            }
            let decrypted = held.session.decrypt(turn.now, message).ok()?;
            held.answered = true;
            held.settled |= held.sent;
            held.doubted = false;
            held.put_skipped(&decrypted.skipped, turn);
            Some((position, decrypted))
        })?;
        if position > 0 && is_preferred(sessions, position) {
            let mut held = sessions.remove(position);
            held.used = turn.counters.session_use();
            held.beside_since = 0;
            held.put(turn);
            sessions.insert(0, held);
        } else if let Some(held) = sessions.get(position) {
            held.put(turn);
        }
        note_beside(sessions, turn);
        Some(decrypted.plaintext)
    }

    /// Erases what has been beside a settled session for long enough.
    pub(crate) fn maintain(&mut self, turn: &mut Turn<'_>) {
        for sessions in self.0.values_mut() {
            sessions.retain(|held| {
                let over =
                    held.beside_since != 0 && turn.now.saturating_sub(held.beside_since) >= OTHERS_KEPT_MS;
                if over {
                    held.erase(turn);
                }
                !over
            });
        }
        self.0.retain(|_, sessions| !sessions.is_empty());
    }

    /// Forgets every session with an address: nobody there is known.
    pub(crate) fn forget(&mut self, address: &Address, turn: &mut Turn<'_>) {
        self.0.retain(|(of, _), sessions| {
            if of == address {
                sessions.iter().for_each(|held| held.erase(turn));
            }
            of != address
        });
    }

    /// Reads the record `session/<rest>`, with its skipped keys among `records`.
    pub(crate) fn load(
        &mut self,
        rest: &str,
        bytes: &[u8],
        records: &BTreeMap<String, Zeroizing<Vec<u8>>>,
    ) -> Result<(), RecordError> {
        let (name, held) = Held::load(rest, bytes, records)?;
        let sessions = self.0.entry(name).or_default();
        sessions.push(held);
        sessions.sort_by_key(|held| std::cmp::Reverse(held.used));
        Ok(())
    }

    fn sending(&mut self, them: &Party) -> Option<&mut Held> {
        let held = self.0.get_mut(&name(them))?.first_mut()?;
        held.is_with(them).then_some(held)
    }

    fn of(&self, them: &Party) -> impl Iterator<Item = &Held> {
        self.0
            .get(&name(them))
            .into_iter()
            .flatten()
            .filter(|held| held.is_with(them))
    }

    /// Sessions made with other keys than the device has now are with somebody else.
    fn erase_foreign(&mut self, them: &Party, turn: &mut Turn<'_>) {
        if let Some(sessions) = self.0.get_mut(&name(them)) {
            sessions.retain(|held| {
                if !held.is_with(them) {
                    held.erase(turn);
                }
                held.is_with(them)
            });
        }
    }
}

/// Whether nothing was opened in it for so long that it may never have arrived.
fn is_unanswered(held: &Held, now: u64) -> bool {
    !held.answered && now.saturating_sub(held.made_at) >= UNANSWERED_MS
}

/// Which of too many sessions goes: of those that we began and nobody answered the oldest, so that these
/// never displace one that both sides have; where there are none, the oldest.
fn displaced(sessions: &[Held]) -> usize {
    let unanswered = sessions.iter().rposition(|held| !held.answered);
    unanswered
        .filter(|position| *position > 0)
        .unwrap_or(sessions.len().saturating_sub(1))
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
fn note_beside(sessions: &mut [Held], turn: &mut Turn<'_>) {
    let Some((sending, others)) = sessions.split_first_mut() else {
        return;
    };
    if !sending.settled {
        return;
    }
    for held in others.iter_mut().filter(|held| held.beside_since == 0) {
        held.beside_since = turn.now.max(1);
        held.put(turn);
    }
}

fn name(them: &Party) -> (Address, DeviceId) {
    (them.address.clone(), them.device_id)
}

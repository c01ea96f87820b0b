//! Sessions with the devices of others. Two sides may begin at once, so a device can have several; what
//! arrives says which one lives, and that one is used from then on (as Sesame does, section 3).

use std::collections::BTreeMap;

use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{EncryptError, Session, SessionMessage};
use zeroize::Zeroizing;

use crate::records::{RecordError, hex, pack, u64_of, unpack};
use crate::turn::Turn;

/// Most sessions kept with one device. Both sides beginning at once makes two; a few more allow for
/// restored backups and lost messages.
const SESSIONS_PER_DEVICE: usize = 5;

struct Held {
    session: Session,
    /// When it was last taken into use, as a count: the highest is the one to send with.
    used: u64,
}

#[derive(Default)]
pub(crate) struct Sessions(BTreeMap<(Address, DeviceId), Vec<Held>>);

impl Sessions {
    pub(crate) fn has(&self, address: &Address, device_id: DeviceId) -> bool {
        self.0
            .get(&(address.clone(), device_id))
            .is_some_and(|held| !held.is_empty())
    }

    /// Takes a new session into use.
    pub(crate) fn add(
        &mut self,
        address: &Address,
        device_id: DeviceId,
        session: Session,
        turn: &mut Turn<'_>,
    ) {
        let sessions = self.0.entry((address.clone(), device_id)).or_default();
        let held = Held {
            session,
            used: turn.counters.session_use(),
        };
        turn.put(key(address, device_id, &held.session), record(device_id, &held));
        sessions.insert(0, held);
        for forgotten in sessions.drain(SESSIONS_PER_DEVICE.min(sessions.len())..) {
            turn.delete(key(address, device_id, &forgotten.session));
        }
    }

    /// Encrypts with the session in use; `None` where there is none.
    pub(crate) fn encrypt(
        &mut self,
        address: &Address,
        device_id: DeviceId,
        plaintext: &[u8],
        turn: &mut Turn<'_>,
    ) -> Option<Result<Vec<u8>, EncryptError>> {
        let held = self.0.get_mut(&(address.clone(), device_id))?.first_mut()?;
        let ciphertext = held.session.encrypt(turn.rng, plaintext);
        if ciphertext.is_ok() {
            turn.put(key(address, device_id, &held.session), record(device_id, held));
        }
        Some(ciphertext)
    }

    /// Decrypts with whichever session fits, and takes that one into use. `None` where none does, with
    /// nothing changed.
    pub(crate) fn decrypt(
        &mut self,
        address: &Address,
        device_id: DeviceId,
        message: &SessionMessage,
        turn: &mut Turn<'_>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let sessions = self.0.get_mut(&(address.clone(), device_id))?;
        let (position, plaintext) = sessions.iter_mut().enumerate().find_map(|(position, held)| {
            let fits = match message {
                SessionMessage::Initial(initial) => {
                    initial.handshake_digest() == held.session.handshake_digest()
                }
                SessionMessage::Ratchet(_) => true,
            };
            let plaintext = fits.then(|| held.session.decrypt(turn.now, message).ok())??;
            Some((position, plaintext))
        })?;
        if position > 0 {
            let mut held = sessions.remove(position);
            held.used = turn.counters.session_use();
            sessions.insert(0, held);
        }
        let held = sessions.first()?;
        turn.put(key(address, device_id, &held.session), record(device_id, held));
        Some(plaintext)
    }

    /// Whether a session came of this very handshake.
    pub(crate) fn knows(&self, address: &Address, device_id: DeviceId, handshake: &[u8; 32]) -> bool {
        self.0.get(&(address.clone(), device_id)).is_some_and(|sessions| {
            sessions
                .iter()
                .any(|held| held.session.handshake_digest() == *handshake)
        })
    }

    /// Forgets every session with an address: its account key is another one now.
    pub(crate) fn forget(&mut self, address: &Address, turn: &mut Turn<'_>) {
        let all = std::mem::take(&mut self.0);
        for ((of, device_id), sessions) in all {
            if of == *address {
                for held in &sessions {
                    turn.delete(key(&of, device_id, &held.session));
                }
            } else {
                self.0.insert((of, device_id), sessions);
            }
        }
    }

    pub(crate) fn load(&mut self, rest: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let fields = unpack(bytes)?;
        let [used, device_id, session] = fields.as_slice() else {
            return Err(RecordError);
        };
        let (address, _) = rest.split_once('/').ok_or(RecordError)?;
        let address = Address::parse(address).map_err(|_| RecordError)?;
        let device_id = DeviceId::from_slice(device_id).map_err(|_| RecordError)?;
        let held = Held {
            session: Session::from_bytes(session).map_err(|_| RecordError)?,
            used: u64_of(used)?,
        };
        let sessions = self.0.entry((address, device_id)).or_default();
        sessions.push(held);
        sessions.sort_by_key(|held| std::cmp::Reverse(held.used));
        Ok(())
    }
}

/// The device is in the value as well: keys are for finding, values for reading.
fn key(address: &Address, device_id: DeviceId, session: &Session) -> String {
    format!(
        "session/{address}/{device_id}/{}",
        hex(&session.handshake_digest())
    )
}

fn record(device_id: DeviceId, held: &Held) -> Zeroizing<Vec<u8>> {
    pack(&[
        &held.used.to_be_bytes(),
        device_id.as_bytes(),
        &held.session.to_bytes(),
    ])
}

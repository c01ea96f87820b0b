//! One session as it is kept: its own record, and one for each of its skipped keys, so that saving it
//! costs the same however many messages are missing.

use std::collections::BTreeMap;

use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{Party, Session, SkippedChanges, SkippedKeyId};
use zeroize::Zeroizing;

use crate::records::{RecordError, hex, pack, u64_of, unpack};
use crate::turn::Turn;

/// A session is renewed at most once in this time: nonsense in a device's name must not drain its prekeys.
const RENEWAL_INTERVAL_MS: u64 = 60 * 60 * 1000;

pub(crate) struct Held {
    pub(crate) session: Session,
    address: Address,
    device_id: DeviceId,
    /// The peer's account key and identity key it was made with.
    keys: [[u8; 32]; 2],
    /// When it became the sending one, as a count; the highest is the one in use.
    pub(crate) used: u64,
    /// Unix time in milliseconds.
    pub(crate) made_at: u64,
    /// Whether anything was opened in it.
    pub(crate) answered: bool,
    /// Whether anything was sent in it.
    pub(crate) sent: bool,
    /// Whether something was opened in it after that: both sides have it.
    pub(crate) settled: bool,
    /// Whether a later session has replaced it: it never sends again.
    pub(crate) retired: bool,
    /// Since when it has been beside a settled one, Unix time in milliseconds; 0 if it is not.
    pub(crate) beside_since: u64,
    /// Whether something that could not be opened came in the device's name, and nothing since that could.
    pub(crate) doubted: bool,
    /// When putting another session in its place was last tried, or it was put in another's, Unix time in
    /// milliseconds.
    pub(crate) renewed_at: u64,
}

impl Held {
    /// A new session, now the sending one.
    pub(crate) fn new(them: &Party, session: Session, answered: bool, turn: &mut Turn<'_>) -> Self {
        Self {
            session,
            address: them.address.clone(),
            device_id: them.device_id,
            keys: keys(them),
            used: turn.counters.session_use(),
            made_at: turn.now,
            answered,
            sent: false,
            settled: false,
            retired: false,
            beside_since: 0,
            doubted: false,
            renewed_at: 0,
        }
    }

    /// Whether it was made with the keys that this device has now.
    pub(crate) fn is_with(&self, them: &Party) -> bool {
        self.keys == keys(them)
    }

    /// Whether a new session is to take over from it for good: both sides have had it, or another one that
    /// was preferred to it.
    pub(crate) fn has_had_its_time(&self) -> bool {
        self.settled || self.beside_since != 0
    }

    /// Whether the last try to renew it is long enough ago. A clock that was set back does not stop that.
    pub(crate) fn may_be_renewed(&self, now: u64) -> bool {
        now.abs_diff(self.renewed_at) >= RENEWAL_INTERVAL_MS
    }

    /// Keeps the session as it is now, all but its skipped keys.
    pub(crate) fn put(&self, turn: &mut Turn<'_>) {
        turn.put(format!("session/{}", self.name()), self.to_record());
    }

    /// Keeps what a message did to the skipped keys.
    pub(crate) fn put_skipped(&self, changes: &SkippedChanges, turn: &mut Turn<'_>) {
        for added in &changes.added {
            turn.put(self.skipped_key(&added.id), pack(&[&added.bytes]));
        }
        for removed in &changes.removed {
            turn.delete(self.skipped_key(removed));
        }
    }

    /// Erases all that is kept of it.
    pub(crate) fn erase(&self, turn: &mut Turn<'_>) {
        for skipped in self.session.skipped_keys() {
            turn.delete(self.skipped_key(&skipped.id));
        }
        turn.delete(format!("session/{}", self.name()));
    }

    /// Reads the record `session/<rest>`, with its skipped keys among `records`.
    pub(crate) fn load(
        rest: &str,
        bytes: &[u8],
        records: &BTreeMap<String, Zeroizing<Vec<u8>>>,
    ) -> Result<((Address, DeviceId), Self), RecordError> {
        let (address, _) = rest.split_once('/').ok_or(RecordError)?;
        let address = Address::parse(address).map_err(|_| RecordError)?;
        let fields = unpack(bytes)?;
        let [
            device_id,
            account_key,
            identity_key,
            used,
            made_at,
            flags,
            beside_since,
            // Absent in records from before a session could be doubted.
            renewal @ ..,
            session,
        ] = fields.as_slice()
        else {
            return Err(RecordError);
        };
        let (answered, sent, settled, retired, doubted, renewed_at) = match (*flags, renewal) {
            ([answered, sent, settled, retired], []) => (answered, sent, settled, retired, &0, 0),
            ([answered, sent, settled, retired, doubted], [renewed_at]) => {
                (answered, sent, settled, retired, doubted, u64_of(renewed_at)?)
            }
            _ => return Err(RecordError),
        };
        let fixed = |bytes: &[u8]| bytes.try_into().map_err(|_| RecordError);
        let held = Self {
            session: Session::from_bytes(session, skipped_of(rest, records)?).map_err(|_| RecordError)?,
            device_id: DeviceId::from_slice(device_id).map_err(|_| RecordError)?,
            address: address.clone(),
            keys: [fixed(account_key)?, fixed(identity_key)?],
            used: u64_of(used)?,
            made_at: u64_of(made_at)?,
            answered: *answered != 0,
            sent: *sent != 0,
            settled: *settled != 0,
            retired: *retired != 0,
            beside_since: u64_of(beside_since)?,
            doubted: *doubted != 0,
            renewed_at,
        };
        Ok(((address, held.device_id), held))
    }

    fn to_record(&self) -> Zeroizing<Vec<u8>> {
        let [account_key, identity_key] = &self.keys;
        pack(&[
            self.device_id.as_bytes(),
            account_key,
            identity_key,
            &self.used.to_be_bytes(),
            &self.made_at.to_be_bytes(),
            &[self.answered, self.sent, self.settled, self.retired, self.doubted].map(u8::from),
            &self.beside_since.to_be_bytes(),
            &self.renewed_at.to_be_bytes(),
            &self.session.to_bytes(),
        ])
    }

    fn name(&self) -> String {
        let digest = hex(&self.session.handshake_digest());
        format!("{}/{}/{digest}", self.address, self.device_id)
    }

    fn skipped_key(&self, id: &SkippedKeyId) -> String {
        format!("skipped-key/{}/{}", self.name(), hex(&id.to_bytes()))
    }
}

/// Checks that the record `skipped-key/<rest>` is one of a session that is there: its session reads it.
pub(crate) fn check_belongs(
    rest: &str,
    records: &BTreeMap<String, Zeroizing<Vec<u8>>>,
) -> Result<(), RecordError> {
    let (session, _) = rest.rsplit_once('/').ok_or(RecordError)?;
    if records.contains_key(&format!("session/{session}")) {
        Ok(())
    } else {
        Err(RecordError)
    }
}

/// The skipped keys of the session `session/<rest>`.
fn skipped_of<'a>(
    rest: &str,
    records: &'a BTreeMap<String, Zeroizing<Vec<u8>>>,
) -> Result<Vec<&'a [u8]>, RecordError> {
    let prefix = format!("skipped-key/{rest}/");
    records
        .range(prefix.clone()..)
        .take_while(|(key, _)| key.starts_with(&prefix))
        .map(|(_, record)| match unpack(record)?.as_slice() {
            [key] => Ok(*key),
            _ => Err(RecordError),
        })
        .collect()
}

fn keys(them: &Party) -> [[u8; 32]; 2] {
    [*them.account_key.as_bytes(), *them.identity_key.as_bytes()]
}

//! The numbers that must never be used twice, not even across a restart.

use zeroize::Zeroizing;

use crate::event::EventId;
use crate::records::{RecordError, pack, u32_of, u64_of, unpack};

/// The last number given out, of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    event: u64,
    outbox: u64,
    session_use: u64,
    seen: u64,
    signed_prekey: u32,
    one_time_prekey: u32,
    kem_prekey: u32,
}

impl Counters {
    pub(crate) const KEY: &'static str = "counters";

    pub(crate) fn event(&mut self) -> EventId {
        EventId(next(&mut self.event))
    }

    pub(crate) fn outbox(&mut self) -> u64 {
        next(&mut self.outbox)
    }

    pub(crate) fn session_use(&mut self) -> u64 {
        next(&mut self.session_use)
    }

    pub(crate) fn seen(&mut self) -> u64 {
        next(&mut self.seen)
    }

    pub(crate) fn signed_prekey(&mut self) -> u32 {
        self.signed_prekey = self.signed_prekey.saturating_add(1);
        self.signed_prekey
    }

    pub(crate) fn one_time_prekey(&mut self) -> u32 {
        self.one_time_prekey = self.one_time_prekey.saturating_add(1);
        self.one_time_prekey
    }

    /// One count for both roles, so that no id is used in both.
    pub(crate) fn kem_prekey(&mut self) -> u32 {
        self.kem_prekey = self.kem_prekey.saturating_add(1);
        self.kem_prekey
    }

    pub(crate) fn to_record(&self) -> Zeroizing<Vec<u8>> {
        pack(&[
            &self.event.to_be_bytes(),
            &self.outbox.to_be_bytes(),
            &self.session_use.to_be_bytes(),
            &self.seen.to_be_bytes(),
            &self.signed_prekey.to_be_bytes(),
            &self.one_time_prekey.to_be_bytes(),
            &self.kem_prekey.to_be_bytes(),
        ])
    }

    pub(crate) fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        let fields = unpack(bytes)?;
        let [
            event,
            outbox,
            session_use,
            seen,
            signed_prekey,
            one_time_prekey,
            kem_prekey,
        ] = fields.as_slice()
        else {
            return Err(RecordError);
        };
        Ok(Self {
            event: u64_of(event)?,
            outbox: u64_of(outbox)?,
            session_use: u64_of(session_use)?,
            seen: u64_of(seen)?,
            signed_prekey: u32_of(signed_prekey)?,
            one_time_prekey: u32_of(one_time_prekey)?,
            kem_prekey: u32_of(kem_prekey)?,
        })
    }
}

/// A counter of 64 bits does not run out; saturating keeps it from ever going back.
fn next(counter: &mut u64) -> u64 {
    *counter = counter.saturating_add(1);
    *counter
}

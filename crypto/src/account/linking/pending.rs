//! The new device's side, until the grant comes.

use alloc::boxed::Box;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use sottovoce_statements::{DeviceId, IdentityKey, ManifestDevice};
use zeroize::Zeroizing;

use super::offer::{LinkingOffer, PairingSecret};
use super::open::{GrantedAccount, open_grant};
use crate::account::error::GrantOpenError;
use crate::codec::{StateKind, Write, begin_state, read_state};
use crate::error::StateError;
use crate::primitives::dh::{X25519KeyPair, X25519Secret};
use crate::secret::{Secret32, redacted_debug};

/// A device that shows an offer and waits to be linked. It takes one grant; what it needs for that is gone
/// afterwards.
pub struct PendingLink {
    offer: LinkingOffer,
    ephemeral: X25519KeyPair,
    shown_at_ms: u64,
}

impl PendingLink {
    /// Draws what it takes to link a device with this id and identity key. `now_ms` is Unix time in
    /// milliseconds.
    pub fn new<R: CryptoRng + ?Sized>(
        rng: &mut R,
        now_ms: u64,
        device_id: DeviceId,
        identity_key: IdentityKey,
    ) -> Self {
        let ephemeral = X25519KeyPair::generate(rng);
        Self {
            offer: LinkingOffer {
                device: ManifestDevice {
                    device_id,
                    identity_key,
                },
                ephemeral: *ephemeral.public(),
                pairing_secret: PairingSecret(Secret32::random(rng)),
            },
            ephemeral,
            shown_at_ms: now_ms,
        }
    }

    /// What to show.
    #[must_use]
    pub fn offer(&self) -> &LinkingOffer {
        &self.offer
    }

    /// Opens the grant that the primary made for this offer.
    ///
    /// # Errors
    /// [`LinkingFailed`] gives the pending link back as it was, and says why.
    pub fn open(self, now_ms: u64, grant: &[u8]) -> Result<GrantedAccount, LinkingFailed> {
        let opened = if now_ms.saturating_sub(self.shown_at_ms) > MAX_LINKING_AGE_MS {
            Err(GrantOpenError::Expired)
        } else {
            open_grant(&self.offer, self.ephemeral.secret(), grant)
        };
        opened.map_err(|error| LinkingFailed {
            error,
            pending: Box::new(self),
        })
    }

    /// The pending link as state to be sealed and kept, 155 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(STATE_LEN));
        begin_state(StateKind::PendingLink, &mut bytes);
        bytes.put_u64(self.shown_at_ms);
        bytes.put(self.ephemeral.secret().as_bytes());
        bytes.put(&self.offer.to_bytes());
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`StateError`] when it did not write this.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = read_state(StateKind::PendingLink, bytes)?;
        let shown_at_ms = reader.u64()?;
        let ephemeral = X25519KeyPair::from_secret(X25519Secret::copy_from(reader.array()?))
            .ok_or(StateError::Malformed)?;
        let offer = LinkingOffer::from_bytes(reader.rest()).map_err(|_| StateError::Malformed)?;
        if offer.ephemeral != *ephemeral.public() {
            return Err(StateError::Malformed);
        }
        Ok(Self {
            offer,
            ephemeral,
            shown_at_ms,
        })
    }
}

redacted_debug!(PendingLink);

/// A grant was not taken, and the pending link can take another.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct LinkingFailed {
    /// Why.
    pub error: GrantOpenError,
    /// The pending link, as it was.
    pub pending: Box<PendingLink>,
}

/// How long after it was first shown an offer is answered, in milliseconds: ten minutes, so that a picture
/// taken of the screen is soon worth nothing.
pub const MAX_LINKING_AGE_MS: u64 = 10 * 60 * 1_000;

/// Bytes of the state.
const STATE_LEN: usize = 2 + 8 + 32 + LinkingOffer::LEN;

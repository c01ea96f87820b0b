//! Prekeys: what a device leaves with the server so that others can begin sessions while it is away
//! (X3DH section 3.2).

use alloc::vec::Vec;

use rand_core::CryptoRng;
use sottovoce_statements::{DeviceId, Signed, SignedPrekey, StatementError, X25519Key};
use zeroize::Zeroizing;

use crate::codec::{Malformed, Reader, StateKind, Write, begin_state, read_state};
use crate::error::StateError;
use crate::keys::IdentityKeyPair;
use crate::primitives::dh::{X25519KeyPair, X25519Secret};
use crate::secret::redacted_debug;

/// A signed prekey with its secret. Used for many handshakes until the device rotates it.
pub struct SignedPrekeyPair {
    pair: X25519KeyPair,
    statement: Signed<SignedPrekey>,
}

impl SignedPrekeyPair {
    /// Draws a prekey and has the device sign it. `id` is the device's number for it, from 1 upwards,
    /// never reused; `now_ms` is Unix time in milliseconds.
    ///
    /// # Errors
    /// [`StatementError`] if `id` is 0.
    pub fn generate<R: CryptoRng + ?Sized>(
        rng: &mut R,
        identity: &IdentityKeyPair,
        device_id: DeviceId,
        id: u32,
        now_ms: u64,
    ) -> Result<Self, StatementError> {
        let pair = X25519KeyPair::generate(rng);
        let statement = identity.sign_prekey(SignedPrekey {
            device_id,
            id,
            key: *pair.public(),
            created_at_ms: now_ms,
        })?;
        Ok(Self { pair, statement })
    }

    /// The device's number for this prekey.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.statement.claimed().id
    }

    /// When it was made, Unix time in milliseconds.
    #[must_use]
    pub fn created_at_ms(&self) -> u64 {
        self.statement.claimed().created_at_ms
    }

    /// The signed statement to publish.
    #[must_use]
    pub fn statement(&self) -> &Signed<SignedPrekey> {
        &self.statement
    }

    /// The whole prekey, secret included, to be sealed before it is kept.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let statement = self.statement.statement_bytes();
        let signature = self.statement.signature_bytes();
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 + 32 + signature.len() + statement.len()));
        begin_state(StateKind::SignedPrekey, &mut bytes);
        bytes.put(self.pair.secret().as_bytes());
        bytes.put(signature);
        bytes.put(statement);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = read_state(StateKind::SignedPrekey, bytes)?;
        let pair = read_pair(&mut reader)?;
        let signature: &[u8; 64] = reader.array()?;
        let statement = Signed::<SignedPrekey>::from_parts(reader.rest(), signature)
            .map_err(|_| StateError::Malformed)?;
        if statement.claimed().key == *pair.public() {
            Ok(Self { pair, statement })
        } else {
            Err(StateError::Malformed)
        }
    }

    pub(crate) fn pair(&self) -> &X25519KeyPair {
        &self.pair
    }
}

redacted_debug!(SignedPrekeyPair);

/// A one-time prekey with its secret. Delete it once [`Session::accept`](crate::Session::accept) has
/// taken a message that names it, and not before.
pub struct OneTimePrekeyPair {
    id: u32,
    pair: X25519KeyPair,
}

impl OneTimePrekeyPair {
    /// Draws a prekey. `id` is the device's number for it, never reused.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R, id: u32) -> Self {
        Self {
            id,
            pair: X25519KeyPair::generate(rng),
        }
    }

    /// The device's number for this prekey.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The half to publish.
    #[must_use]
    pub fn public(&self) -> OneTimePrekey {
        OneTimePrekey {
            id: self.id,
            key: *self.pair.public(),
        }
    }

    /// The whole prekey, secret included, to be sealed before it is kept.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 + 4 + 32));
        begin_state(StateKind::OneTimePrekey, &mut bytes);
        bytes.put_u32(self.id);
        bytes.put(self.pair.secret().as_bytes());
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = read_state(StateKind::OneTimePrekey, bytes)?;
        let id = reader.u32()?;
        let pair = read_pair(&mut reader)?;
        reader.finish()?;
        Ok(Self { id, pair })
    }

    pub(crate) fn pair(&self) -> &X25519KeyPair {
        &self.pair
    }
}

redacted_debug!(OneTimePrekeyPair);

/// A peer's one-time prekey, as the server hands it out: unsigned, good for one handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneTimePrekey {
    /// The device's number for it.
    pub id: u32,
    /// The prekey.
    pub key: X25519Key,
}

fn read_pair(reader: &mut Reader<'_>) -> Result<X25519KeyPair, Malformed> {
    X25519KeyPair::from_secret(X25519Secret::copy_from(reader.array()?)).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn pairs() -> (SignedPrekeyPair, OneTimePrekeyPair) {
        let rng = &mut ChaCha20Rng::from_seed([5; 32]);
        let identity = IdentityKeyPair::generate(rng);
        let device_id = DeviceId::from_bytes([1; 16]);
        let signed = SignedPrekeyPair::generate(rng, &identity, device_id, 7, 1_000).unwrap();
        (signed, OneTimePrekeyPair::generate(rng, 8))
    }

    #[test]
    fn prekeys_come_back_from_their_bytes() {
        let (signed, one_time) = pairs();
        let signed_again = SignedPrekeyPair::from_bytes(&signed.to_bytes()).unwrap();
        assert_eq!(signed_again.statement(), signed.statement());
        assert_eq!((signed_again.id(), signed_again.created_at_ms()), (7, 1_000));
        assert_eq!(signed_again.to_bytes(), signed.to_bytes());
        let one_time_again = OneTimePrekeyPair::from_bytes(&one_time.to_bytes()).unwrap();
        assert_eq!(one_time_again.public(), one_time.public());
    }

    #[test]
    fn a_stored_prekey_is_read_strictly() {
        let (signed, one_time) = pairs();
        for bytes in [signed.to_bytes(), one_time.to_bytes()] {
            for length in 0..bytes.len() {
                assert!(SignedPrekeyPair::from_bytes(&bytes[..length]).is_err());
                assert!(OneTimePrekeyPair::from_bytes(&bytes[..length]).is_err());
            }
            let mut longer = bytes.to_vec();
            longer.push(0);
            assert!(SignedPrekeyPair::from_bytes(&longer).is_err());
            assert!(OneTimePrekeyPair::from_bytes(&longer).is_err());
            let mut newer = bytes.to_vec();
            newer[0] = 2;
            assert_eq!(
                SignedPrekeyPair::from_bytes(&newer).unwrap_err(),
                StateError::UnsupportedVersion
            );
            assert_eq!(
                OneTimePrekeyPair::from_bytes(&newer).unwrap_err(),
                StateError::UnsupportedVersion
            );
        }
    }

    #[test]
    fn a_stored_prekey_whose_secret_is_not_its_own_is_refused() {
        let (signed, _) = pairs();
        let mut bytes = signed.to_bytes();
        bytes[5] ^= 1;
        assert_eq!(
            SignedPrekeyPair::from_bytes(&bytes).unwrap_err(),
            StateError::Malformed
        );
    }

    #[test]
    fn prekeys_print_no_secret() {
        let (signed, one_time) = pairs();
        assert_eq!(format!("{signed:?}"), "SignedPrekeyPair([redacted])");
        assert_eq!(format!("{one_time:?}"), "OneTimePrekeyPair([redacted])");
    }
}

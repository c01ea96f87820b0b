//! KEM prekeys of ours (PQXDH section 2.4).

use alloc::vec::Vec;

use rand_core::CryptoRng;
use sottovoce_statements::{DeviceId, KemPrekey, KemPrekeyRole, Signed, StatementError};
use zeroize::Zeroizing;

use crate::codec::{StateKind, Write, begin_state, read_state};
use crate::error::StateError;
use crate::keys::IdentityKeyPair;
use crate::primitives::kem::{KEM_SEED_LEN, KemKeyPair};
use crate::secret::redacted_debug;

/// An ML-KEM-768 prekey with its secret. Delete a one-time one once
/// [`Session::accept`](crate::Session::accept) has taken a message that names it, and not before; keep a
/// last-resort one until it is replaced and messages that name it can no longer come.
pub struct KemPrekeyPair {
    pair: KemKeyPair,
    statement: Signed<KemPrekey>,
}

impl KemPrekeyPair {
    /// Draws a prekey and has the device sign it. `id` is the device's number for it, from 1 upwards,
    /// never reused in either role; `now_ms` is Unix time in milliseconds.
    ///
    /// # Errors
    /// [`StatementError`] if `id` is 0.
    pub fn generate<R: CryptoRng + ?Sized>(
        rng: &mut R,
        identity: &IdentityKeyPair,
        device_id: DeviceId,
        role: KemPrekeyRole,
        id: u32,
        now_ms: u64,
    ) -> Result<Self, StatementError> {
        let pair = KemKeyPair::generate(rng);
        let statement = identity.sign_kem_prekey(KemPrekey {
            device_id,
            id,
            role,
            key: pair.public().clone(),
            created_at_ms: now_ms,
        })?;
        Ok(Self { pair, statement })
    }

    /// The device's number for this prekey.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.statement.claimed().id
    }

    /// How often it may be used.
    #[must_use]
    pub fn role(&self) -> KemPrekeyRole {
        self.statement.claimed().role
    }

    /// When it was made, Unix time in milliseconds.
    #[must_use]
    pub fn created_at_ms(&self) -> u64 {
        self.statement.claimed().created_at_ms
    }

    /// The signed statement to publish.
    #[must_use]
    pub fn statement(&self) -> &Signed<KemPrekey> {
        &self.statement
    }

    /// The whole prekey, secret included, to be sealed before it is kept.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let statement = self.statement.statement_bytes();
        let signature = self.statement.signature_bytes();
        let capacity = 2 + KEM_SEED_LEN + signature.len() + statement.len();
        let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
        begin_state(StateKind::KemPrekey, &mut bytes);
        bytes.put(self.pair.seed());
        bytes.put(signature);
        bytes.put(statement);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = read_state(StateKind::KemPrekey, bytes)?;
        let pair = KemKeyPair::copy_from_seed(reader.array()?).ok_or(StateError::Malformed)?;
        let signature: &[u8; 64] = reader.array()?;
        let statement =
            Signed::<KemPrekey>::from_parts(reader.rest(), signature).map_err(|_| StateError::Malformed)?;
        if statement.claimed().key == *pair.public() {
            Ok(Self { pair, statement })
        } else {
            Err(StateError::Malformed)
        }
    }

    pub(crate) fn pair(&self) -> &KemKeyPair {
        &self.pair
    }
}

redacted_debug!(KemPrekeyPair);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn prekey() -> KemPrekeyPair {
        let rng = &mut ChaCha20Rng::from_seed([5; 32]);
        let identity = IdentityKeyPair::generate(rng);
        let device_id = DeviceId::from_bytes([1; 16]);
        KemPrekeyPair::generate(rng, &identity, device_id, KemPrekeyRole::OneTime, 7, 1_000).unwrap()
    }

    #[test]
    fn a_kem_prekey_comes_back_from_its_bytes() {
        let prekey = prekey();
        let again = KemPrekeyPair::from_bytes(&prekey.to_bytes()).unwrap();
        assert_eq!(again.statement(), prekey.statement());
        assert_eq!((again.id(), again.created_at_ms()), (7, 1_000));
        assert_eq!(again.role(), KemPrekeyRole::OneTime);
        assert_eq!(again.to_bytes(), prekey.to_bytes());
    }

    #[test]
    fn a_stored_kem_prekey_is_read_strictly() {
        let bytes = prekey().to_bytes();
        for length in 0..bytes.len() {
            assert!(KemPrekeyPair::from_bytes(&bytes[..length]).is_err());
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert!(KemPrekeyPair::from_bytes(&longer).is_err());
        let mut newer = bytes.to_vec();
        newer[0] = 2;
        assert_eq!(
            KemPrekeyPair::from_bytes(&newer).unwrap_err(),
            StateError::UnsupportedVersion
        );
        let mut other = bytes.to_vec();
        other[5] ^= 1;
        assert_eq!(
            KemPrekeyPair::from_bytes(&other).unwrap_err(),
            StateError::Malformed,
            "a secret that is not the statement's"
        );
    }

    #[test]
    fn a_kem_prekey_prints_no_secret() {
        assert_eq!(format!("{:?}", prekey()), "KemPrekeyPair([redacted])");
    }
}

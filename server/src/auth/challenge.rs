//! Challenges without a memory: the nonce carries its own proof that this server made it for this
//! device and this expiry, so whoever merely asks for one makes the server store nothing.
//!
//! ```text
//!  nonce = random (16) ‖ HMAC-SHA256(secret, label ‖ server name ‖ 0 ‖ device id ‖ expiry ‖ random) (32)
//! ```
//!
//! The secret is the same on every node of a server, and outlives restarts. A nonce is remembered, in the
//! database, only once a good signature has used it, and only until it expires.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sottovoce_proto::v1::ErrorReason;
use sottovoce_statements::{AuthChallenge, DeviceId, ServerName};

use super::random;
use crate::clock::millis;
use crate::limits::Limits;
use crate::refusal::Refusal;

const LABEL: &[u8] = b"Sottovoce-v1 challenge nonce";
const RANDOM_LEN: usize = 16;

/// The length of the secret under the proofs.
const CHALLENGE_KEY_LEN: usize = 32;

/// Makes challenges and recognizes them again.
pub(crate) struct Challenges {
    server: ServerName,
    key: Hmac<Sha256>,
    lifetime_ms: u64,
}

/// Why a challenge is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChallengeRefusal {
    /// Not made by this server for this device and expiry.
    Foreign,
    Expired,
}

impl Challenges {
    pub(crate) fn new(
        server: ServerName,
        key: &[u8; CHALLENGE_KEY_LEN],
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            server,
            key: Hmac::new_from_slice(key).map_err(|_| Refusal::because(ErrorReason::Internal))?,
            lifetime_ms: millis(limits.challenge_lifetime),
        })
    }

    /// A nonce for `device`, and when it expires, Unix time in milliseconds.
    pub(crate) fn make(&self, device: DeviceId, now_ms: u64) -> Result<(Vec<u8>, u64), Refusal> {
        let expires_at_ms = now_ms.saturating_add(self.lifetime_ms);
        let random = random::<RANDOM_LEN>()?;
        let proof = self.proof(&self.server, device, expires_at_ms, &random);
        let mut nonce = random.to_vec();
        nonce.extend_from_slice(&proof.finalize().into_bytes());
        Ok((nonce, expires_at_ms))
    }

    /// Whether this server made the challenge and its time has not passed.
    pub(crate) fn check(&self, challenge: &AuthChallenge, now_ms: u64) -> Result<(), ChallengeRefusal> {
        let (random, proof) = split(&challenge.nonce)?;
        self.proof(
            &challenge.server,
            challenge.device_id,
            challenge.expires_at_ms,
            random,
        )
        .verify_slice(proof)
        .map_err(|_| ChallengeRefusal::Foreign)?;
        if challenge.server != self.server {
            return Err(ChallengeRefusal::Foreign);
        }
        if challenge.expires_at_ms <= now_ms {
            return Err(ChallengeRefusal::Expired);
        }
        Ok(())
    }

    fn proof(
        &self,
        server: &ServerName,
        device: DeviceId,
        expires_at_ms: u64,
        random: &[u8; RANDOM_LEN],
    ) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        mac.update(LABEL);
        mac.update(server.as_str().as_bytes());
        // Server names hold no zero byte: where the name ends cannot be moved.
        mac.update(&[0]);
        mac.update(device.as_bytes());
        mac.update(&expires_at_ms.to_be_bytes());
        mac.update(random);
        mac
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenges([redacted])")
    }
}

impl From<ChallengeRefusal> for Refusal {
    fn from(refusal: ChallengeRefusal) -> Self {
        match refusal {
            ChallengeRefusal::Foreign => Self::because(ErrorReason::ChallengeInvalid),
            ChallengeRefusal::Expired => Self::because(ErrorReason::ChallengeExpired),
        }
    }
}

fn split(nonce: &[u8]) -> Result<(&[u8; RANDOM_LEN], &[u8]), ChallengeRefusal> {
    nonce
        .split_first_chunk::<RANDOM_LEN>()
        .ok_or(ChallengeRefusal::Foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn challenges(key: u8) -> Challenges {
        let server = ServerName::parse("here.example").unwrap();
        Challenges::new(server, &[key; CHALLENGE_KEY_LEN], &Limits::default()).unwrap()
    }

    fn made_by(challenges: &Challenges) -> AuthChallenge {
        let device_id = DeviceId::from_bytes([7; 16]);
        let (nonce, expires_at_ms) = challenges.make(device_id, NOW).unwrap();
        AuthChallenge {
            server: challenges.server.clone(),
            device_id,
            nonce,
            expires_at_ms,
        }
    }

    #[test]
    fn a_challenge_is_good_only_as_it_was_made() {
        let challenges = challenges(1);
        let good = made_by(&challenges);
        assert_eq!(challenges.check(&good, NOW), Ok(()));
        let mut other_device = good.clone();
        other_device.device_id = DeviceId::from_bytes([8; 16]);
        let mut longer = good.clone();
        longer.expires_at_ms += 1;
        let mut flipped = good.clone();
        flipped.nonce[0] ^= 1;
        let mut cut = good.clone();
        cut.nonce.truncate(RANDOM_LEN);
        for bad in [other_device, longer, flipped, cut] {
            assert_eq!(challenges.check(&bad, NOW), Err(ChallengeRefusal::Foreign));
        }
    }

    #[test]
    fn a_challenge_is_good_at_every_node_and_at_no_other_server() {
        let challenge = made_by(&challenges(1));
        assert_eq!(challenges(1).check(&challenge, NOW), Ok(()));
        assert_eq!(
            challenges(2).check(&challenge, NOW),
            Err(ChallengeRefusal::Foreign)
        );
    }

    #[test]
    fn a_challenge_expires_at_its_expiry() {
        let challenges = challenges(1);
        let challenge = made_by(&challenges);
        assert_eq!(challenges.check(&challenge, challenge.expires_at_ms - 1), Ok(()));
        assert_eq!(
            challenges.check(&challenge, challenge.expires_at_ms),
            Err(ChallengeRefusal::Expired)
        );
    }
}

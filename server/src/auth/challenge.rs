//! Challenges without a memory: the nonce carries its own proof that this server made it for this
//! device and this expiry, so whoever merely asks for one makes the server store nothing.
//!
//! ```text
//!  nonce = random (16) ‖ HMAC-SHA256(secret, label ‖ server name ‖ 0 ‖ device id ‖ expiry ‖ random) (32)
//! ```
//!
//! A nonce is remembered only once a good signature has used it, and only until it expires.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

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

/// Makes challenges and recognizes them again. Forgotten at a restart: devices then begin again.
pub(crate) struct Challenges {
    server: ServerName,
    key: Hmac<Sha256>,
    lifetime_ms: u64,
    max_used: usize,
    max_used_per_device: usize,
    used: Mutex<Used>,
}

/// Why a challenge is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChallengeRefusal {
    /// Not made by this server, in this run, for this device and expiry.
    Foreign,
    Expired,
    Used,
    /// No more can be remembered as used.
    Full,
    /// The device has used as many as it may before they expire.
    DeviceFull {
        limit: usize,
    },
}

#[derive(Default)]
struct Used {
    nonces: HashSet<[u8; RANDOM_LEN]>,
    by_expiry: BTreeMap<(u64, [u8; RANDOM_LEN]), DeviceId>,
    by_device: HashMap<DeviceId, usize>,
}

impl Challenges {
    pub(crate) fn new(server: ServerName, limits: &Limits) -> Result<Self, Refusal> {
        let key =
            Hmac::new_from_slice(&random::<32>()?).map_err(|_| Refusal::because(ErrorReason::Internal))?;
        Ok(Self {
            server,
            key,
            lifetime_ms: millis(limits.challenge_lifetime),
            max_used: limits.max_used_challenges,
            max_used_per_device: limits.max_used_challenges_per_device,
            used: Mutex::default(),
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

    /// Marks a checked challenge, whose signature was verified, as used. Of many callers at one time
    /// exactly one succeeds.
    pub(crate) fn use_up(&self, challenge: &AuthChallenge, now_ms: u64) -> Result<(), ChallengeRefusal> {
        let (random, _) = split(&challenge.nonce)?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.forget_expired(now_ms);
        if used.nonces.contains(random) {
            return Err(ChallengeRefusal::Used);
        }
        let by_device = used.by_device.get(&challenge.device_id).copied().unwrap_or(0);
        if by_device >= self.max_used_per_device {
            return Err(ChallengeRefusal::DeviceFull {
                limit: self.max_used_per_device,
            });
        }
        if used.nonces.len() >= self.max_used {
            return Err(ChallengeRefusal::Full);
        }
        used.remember(challenge, *random);
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

impl Used {
    fn remember(&mut self, challenge: &AuthChallenge, random: [u8; RANDOM_LEN]) {
        let device = challenge.device_id;
        self.nonces.insert(random);
        self.by_expiry.insert((challenge.expires_at_ms, random), device);
        *self.by_device.entry(device).or_default() += 1;
    }

    fn forget_expired(&mut self, now_ms: u64) {
        while let Some(first) = self.by_expiry.first_entry() {
            if first.key().0 > now_ms {
                break;
            }
            let ((_, random), device) = first.remove_entry();
            self.nonces.remove(&random);
            if let Some(count) = self.by_device.get_mut(&device) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.by_device.remove(&device);
                }
            }
        }
    }
}

impl From<ChallengeRefusal> for Refusal {
    fn from(refusal: ChallengeRefusal) -> Self {
        match refusal {
            ChallengeRefusal::Foreign => Self::because(ErrorReason::ChallengeInvalid),
            ChallengeRefusal::Expired => Self::because(ErrorReason::ChallengeExpired),
            ChallengeRefusal::Used => Self::because(ErrorReason::ChallengeUsed),
            ChallengeRefusal::Full => Self::because(ErrorReason::ServerFull),
            ChallengeRefusal::DeviceFull { limit } => Self::because(ErrorReason::ServerFull)
                .at("challenge")
                .limit(limit as u64),
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

    fn challenges(max_used: usize) -> Challenges {
        let limits = Limits {
            max_used_challenges: max_used,
            ..Limits::default()
        };
        Challenges::new(ServerName::parse("here.example").unwrap(), &limits).unwrap()
    }

    fn made_by(challenges: &Challenges) -> AuthChallenge {
        made_for(DeviceId::from_bytes([7; 16]), challenges)
    }

    fn made_for(device_id: DeviceId, challenges: &Challenges) -> AuthChallenge {
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
        let challenges = challenges(10);
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
    fn a_challenge_of_another_server_or_another_run_is_foreign() {
        let challenge = made_by(&challenges(10));
        assert_eq!(
            challenges(10).check(&challenge, NOW),
            Err(ChallengeRefusal::Foreign)
        );
    }

    #[test]
    fn a_challenge_expires_at_its_expiry() {
        let challenges = challenges(10);
        let challenge = made_by(&challenges);
        assert_eq!(challenges.check(&challenge, challenge.expires_at_ms - 1), Ok(()));
        assert_eq!(
            challenges.check(&challenge, challenge.expires_at_ms),
            Err(ChallengeRefusal::Expired)
        );
    }

    #[test]
    fn used_challenges_are_bounded_and_forgotten_when_they_expire() {
        let challenges = challenges(2);
        let first = made_by(&challenges);
        assert_eq!(challenges.use_up(&first, NOW), Ok(()));
        assert_eq!(challenges.use_up(&first, NOW), Err(ChallengeRefusal::Used));
        assert_eq!(challenges.use_up(&made_by(&challenges), NOW), Ok(()));
        assert_eq!(
            challenges.use_up(&made_by(&challenges), NOW),
            Err(ChallengeRefusal::Full)
        );
        let later = first.expires_at_ms;
        assert_eq!(challenges.use_up(&made_by(&challenges), later), Ok(()));
        assert_eq!(challenges.used.lock().unwrap().nonces.len(), 1);
    }

    #[test]
    fn a_device_uses_up_its_own_share_of_what_is_remembered_and_no_more() {
        let limits = Limits {
            max_used_challenges: 3,
            max_used_challenges_per_device: 2,
            ..Limits::default()
        };
        let challenges = Challenges::new(ServerName::parse("here.example").unwrap(), &limits).unwrap();
        let (greedy, other) = (DeviceId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16]));
        let first = made_for(greedy, &challenges);
        assert_eq!(challenges.use_up(&first, NOW), Ok(()));
        assert_eq!(challenges.use_up(&made_for(greedy, &challenges), NOW), Ok(()));
        let own = Err(ChallengeRefusal::DeviceFull { limit: 2 });
        assert_eq!(challenges.use_up(&made_for(greedy, &challenges), NOW), own);
        assert_eq!(challenges.use_up(&made_for(other, &challenges), NOW), Ok(()));
        let later = first.expires_at_ms;
        assert_eq!(challenges.use_up(&made_for(greedy, &challenges), later), Ok(()));
        let used = challenges.used.lock().unwrap();
        assert_eq!((used.by_device.len(), used.by_expiry.len()), (1, 1));
    }
}

//! A session at rest: one versioned encoding, read strictly. To be sealed before it is kept. Skipped keys
//! are records of their own.

use alloc::vec::Vec;

use sottovoce_statements::{MlKemKey, X25519Key};
use zeroize::Zeroizing;

use crate::chain::{ChainKey, SkippedKeys};
use crate::codec::{Malformed, Reader, StateKind, Write, begin_state, read_state};
use crate::error::StateError;
use crate::handshake::HandshakeHeader;
use crate::primitives::dh::{X25519KeyPair, X25519Secret};
use crate::primitives::kem::{KemCiphertext, KemKeyPair};
use crate::ratchet::{Healing, Ratchet, ReceivingChain, RootKey, SendingChain, SendingKem, Turn};
use crate::secret::Secret32;
use crate::session::skipped::{read_record, record};
use crate::session::{Session, SkippedKeyId, SkippedKeyRecord};
use crate::suite::Suite;

const TURN_OPENING: u8 = 0x01;
const TURN_LEADING: u8 = 0x02;
const TURN_FOLLOWING: u8 = 0x03;

const KEM_NONE: u8 = 0x00;
const KEM_OFFER: u8 = 0x01;
const KEM_ANSWER: u8 = 0x02;

/// Longest stored session, in bytes, with a KEM key that waits for our answer. Without a KEM exchange under
/// way a session of PQXDH has at most 253, before its first answer 1319; one of X3DH has at most 241.
pub const MAX_SESSION_LEN: usize = FIXED_LEN + 12 + RECEIVING_LEN + 4 + 1 + MlKemKey::LEN;
const FIXED_LEN: usize = 2 + 1 + 32 + 32 + 32 + 1;
const RECEIVING_LEN: usize = 32 + 32 + 4;

impl Session {
    /// The session without its skipped keys, secrets included, to be sealed before it is kept: at most
    /// [`MAX_SESSION_LEN`] bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // Room for all of it from the start, so that no growth leaves a copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SESSION_LEN));
        begin_state(StateKind::Session, &mut bytes);
        bytes.put_u8(self.suite().byte());
        bytes.put(&self.handshake_digest);
        bytes.put(&self.associated_data);
        bytes.put(self.ratchet.root_key.as_bytes());
        if let Some(healing) = &self.ratchet.healing {
            bytes.put_u32(healing.steps);
            bytes.put_u64(healing.exchanged_at_ms);
        }
        match (&self.ratchet.turn, &self.unanswered) {
            (Turn::Opening { sending }, handshake) => {
                bytes.put_u8(TURN_OPENING);
                if let Some(handshake) = handshake {
                    handshake.write(&mut bytes);
                }
                write_sending(sending, &mut bytes);
            }
            (Turn::Leading { sending, receiving }, _) => {
                bytes.put_u8(TURN_LEADING);
                write_sending(sending, &mut bytes);
                write_receiving(receiving, &mut bytes);
            }
            (
                Turn::Following {
                    receiving,
                    previous,
                    offer,
                },
                _,
            ) => {
                bytes.put_u8(TURN_FOLLOWING);
                write_receiving(receiving, &mut bytes);
                bytes.put_u32(*previous);
                write_offer(offer.as_ref(), &mut bytes);
            }
        }
        debug_assert!(bytes.len() <= MAX_SESSION_LEN);
        bytes
    }

    /// The records of all skipped keys. What [`decrypt`](Self::decrypt) tells suffices to keep them; this
    /// is for moving a session as a whole.
    pub fn skipped_keys(&self) -> impl Iterator<Item = SkippedKeyRecord> {
        self.skipped.ids().filter_map(|id| record(id, &self.skipped))
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote, and the records of its skipped keys, in any order.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are anything else, or the records are not this session's.
    pub fn from_bytes<B: AsRef<[u8]>>(
        bytes: &[u8],
        skipped_keys: impl IntoIterator<Item = B>,
    ) -> Result<Self, StateError> {
        let mut reader = read_state(StateKind::Session, bytes)?;
        let suite = Suite::from_byte(reader.u8()?).ok_or(StateError::UnsupportedSuite)?;
        let handshake_digest = *reader.array()?;
        let associated_data = *reader.array()?;
        let root_key = RootKey::new(Secret32::copy_from(reader.array()?));
        let healing = match suite {
            Suite::X3dh => None,
            Suite::Pqxdh => Some(Healing {
                steps: reader.u32()?,
                exchanged_at_ms: reader.u64()?,
            }),
        };
        let mut unanswered = None;
        let turn = match reader.u8()? {
            TURN_OPENING => {
                unanswered = Some(HandshakeHeader::read(&mut reader)?);
                Turn::Opening {
                    sending: read_sending(&mut reader)?,
                }
            }
            TURN_LEADING => Turn::Leading {
                sending: read_sending(&mut reader)?,
                receiving: read_receiving(&mut reader)?,
            },
            TURN_FOLLOWING => Turn::Following {
                receiving: read_receiving(&mut reader)?,
                previous: reader.u32()?,
                offer: read_offer(&mut reader)?,
            },
            _ => return Err(StateError::Malformed),
        };
        reader.finish()?;
        check_handshake(suite, &handshake_digest, unanswered.as_ref())?;
        check_turn(suite, &turn)?;
        Ok(Self {
            handshake_digest,
            associated_data,
            unanswered,
            skipped: read_skipped(skipped_keys, &turn)?,
            ratchet: Ratchet {
                root_key,
                turn,
                healing,
            },
        })
    }
}

fn write_sending(chain: &SendingChain, bytes: &mut Vec<u8>) {
    bytes.put(chain.ours.secret().as_bytes());
    bytes.put(chain.key.as_bytes());
    bytes.put_u32(chain.next);
    bytes.put_u32(chain.previous);
    match &chain.kem {
        None => bytes.put_u8(KEM_NONE),
        Some(SendingKem::Offer(pair)) => {
            bytes.put_u8(KEM_OFFER);
            bytes.put(pair.seed());
        }
        Some(SendingKem::Answer(ciphertext)) => {
            bytes.put_u8(KEM_ANSWER);
            bytes.put(ciphertext.as_bytes());
        }
    }
}

fn read_sending(reader: &mut Reader<'_>) -> Result<SendingChain, Malformed> {
    let ours = X25519KeyPair::from_secret(X25519Secret::copy_from(reader.array()?)).ok_or(Malformed)?;
    Ok(SendingChain {
        ours,
        key: ChainKey::new(Secret32::copy_from(reader.array()?)),
        next: reader.u32()?,
        previous: reader.u32()?,
        kem: match reader.u8()? {
            KEM_NONE => None,
            KEM_OFFER => Some(SendingKem::Offer(
                KemKeyPair::copy_from_seed(reader.array()?).ok_or(Malformed)?,
            )),
            KEM_ANSWER => Some(SendingKem::Answer(KemCiphertext::copy_from(reader.array()?))),
            _ => return Err(Malformed),
        },
    })
}

fn write_receiving(chain: &ReceivingChain, bytes: &mut Vec<u8>) {
    bytes.put(chain.theirs.as_bytes());
    bytes.put(chain.key.as_bytes());
    bytes.put_u32(chain.next);
}

fn read_receiving(reader: &mut Reader<'_>) -> Result<ReceivingChain, Malformed> {
    let chain = ReceivingChain {
        theirs: X25519Key::from_slice(reader.array::<32>()?).map_err(|_| Malformed)?,
        key: ChainKey::new(Secret32::copy_from(reader.array()?)),
        next: reader.u32()?,
    };
    // A chain begins with the message that was received on it.
    if chain.next == 0 {
        Err(Malformed)
    } else {
        Ok(chain)
    }
}

fn write_offer(offer: Option<&MlKemKey>, bytes: &mut Vec<u8>) {
    match offer {
        None => bytes.put_u8(KEM_NONE),
        Some(key) => {
            bytes.put_u8(KEM_OFFER);
            bytes.put(key.as_bytes());
        }
    }
}

fn read_offer(reader: &mut Reader<'_>) -> Result<Option<MlKemKey>, Malformed> {
    match reader.u8()? {
        KEM_NONE => Ok(None),
        KEM_OFFER => MlKemKey::from_slice(reader.array::<{ MlKemKey::LEN }>()?)
            .map(Some)
            .map_err(|_| Malformed),
        _ => Err(Malformed),
    }
}

fn read_skipped<B: AsRef<[u8]>>(
    records: impl IntoIterator<Item = B>,
    turn: &Turn,
) -> Result<SkippedKeys<SkippedKeyId>, StateError> {
    let mut stored = Vec::new();
    for bytes in records {
        let (id, stored_at_ms, key) = read_record(bytes.as_ref())?;
        if !was_passed_over(&id, turn) {
            return Err(StateError::Malformed);
        }
        stored.push((id, stored_at_ms, key));
    }
    SkippedKeys::from_stored(stored).ok_or(StateError::Malformed)
}

/// A key is kept for a message that was passed over, never for one still to come.
fn was_passed_over(id: &SkippedKeyId, turn: &Turn) -> bool {
    match turn {
        Turn::Opening { .. } => false,
        Turn::Leading { receiving, .. } | Turn::Following { receiving, .. } => {
            id.ratchet_key != receiving.theirs || id.number < receiving.next
        }
    }
}

/// A handshake that is still repeated is the one the session is named after.
fn check_handshake(
    suite: Suite,
    digest: &[u8; 32],
    unanswered: Option<&HandshakeHeader>,
) -> Result<(), Malformed> {
    match unanswered {
        Some(header) if header.suite() != suite || header.digest() != *digest => Err(Malformed),
        _ => Ok(()),
    }
}

/// The two directions never share a ratchet key, and so never a chain; the first chain has no KEM part, and
/// in a suite without healing none has.
fn check_turn(suite: Suite, turn: &Turn) -> Result<(), Malformed> {
    let (keys_differ, has_kem) = match turn {
        Turn::Opening { sending } => (sending.kem.is_none(), sending.kem.is_some()),
        Turn::Leading { sending, receiving } => {
            (*sending.ours.public() != receiving.theirs, sending.kem.is_some())
        }
        Turn::Following { offer, .. } => (true, offer.is_some()),
    };
    if keys_differ && !(suite == Suite::X3dh && has_kem) {
        Ok(())
    } else {
        Err(Malformed)
    }
}

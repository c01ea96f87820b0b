//! A session at rest: one versioned encoding, read strictly. To be sealed before it is kept.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use sottovoce_statements::X25519Key;
use zeroize::Zeroizing;

use crate::codec::{Malformed, Reader, StateKind, Write, begin_state, read_state};
use crate::error::StateError;
use crate::handshake::HandshakeHeader;
use crate::primitives::dh::{X25519KeyPair, X25519Secret};
use crate::ratchet::{
    ChainKey, MAX_SKIPPED_KEYS, MessageKey, Ratchet, ReceivingChain, RootKey, SendingChain, SkippedKey,
    SkippedKeys, StoredKey, Turn,
};
use crate::secret::Secret32;
use crate::session::Session;

const TURN_OPENING: u8 = 0x01;
const TURN_LEADING: u8 = 0x02;
const TURN_FOLLOWING: u8 = 0x03;

/// Longest encoding of everything but the skipped keys, in bytes.
const MAX_FIXED_LEN: usize = 2 + HandshakeHeader::MAX_LEN + 32 + 32 + 1 + SENDING_LEN + RECEIVING_LEN + 2;
const SENDING_LEN: usize = 32 + 32 + 4 + 4;
const RECEIVING_LEN: usize = 32 + 32 + 4;
const SKIPPED_LEN: usize = 32 + 4 + 8 + 32;

impl Session {
    /// The whole session, secrets included, to be sealed before it is kept.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let skipped = self.skipped.stored();
        // Room for all of it from the start, so that no growth leaves a copy behind.
        let capacity = MAX_FIXED_LEN + skipped.len() * SKIPPED_LEN;
        let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
        begin_state(StateKind::Session, &mut bytes);
        self.handshake.write(&mut bytes);
        bytes.put(&self.associated_data);
        bytes.put(self.ratchet.root_key.as_bytes());
        match &self.ratchet.turn {
            Turn::Opening { sending } => {
                bytes.put_u8(TURN_OPENING);
                write_sending(sending, &mut bytes);
            }
            Turn::Leading { sending, receiving } => {
                bytes.put_u8(TURN_LEADING);
                write_sending(sending, &mut bytes);
                write_receiving(receiving, &mut bytes);
            }
            Turn::Following { receiving, previous } => {
                bytes.put_u8(TURN_FOLLOWING);
                write_receiving(receiving, &mut bytes);
                bytes.put_u32(*previous);
            }
        }
        write_skipped(skipped, &mut bytes);
        debug_assert!(bytes.len() <= capacity);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = read_state(StateKind::Session, bytes)?;
        let handshake = HandshakeHeader::read(&mut reader)?;
        let associated_data = *reader.array()?;
        let root_key = RootKey::new(Secret32::copy_from(reader.array()?));
        let turn = match reader.u8()? {
            TURN_OPENING => Turn::Opening {
                sending: read_sending(&mut reader)?,
            },
            TURN_LEADING => Turn::Leading {
                sending: read_sending(&mut reader)?,
                receiving: read_receiving(&mut reader)?,
            },
            TURN_FOLLOWING => Turn::Following {
                receiving: read_receiving(&mut reader)?,
                previous: reader.u32()?,
            },
            _ => return Err(StateError::Malformed),
        };
        let skipped = read_skipped(&mut reader)?;
        reader.finish()?;
        check_skipped(&skipped, &turn)?;
        check_keys_differ(&turn)?;
        Ok(Self {
            handshake,
            associated_data,
            ratchet: Ratchet {
                suite: handshake.suite,
                root_key,
                turn,
            },
            skipped: SkippedKeys::from_stored(skipped),
        })
    }
}

fn write_sending(chain: &SendingChain, bytes: &mut Vec<u8>) {
    bytes.put(chain.ours.secret().as_bytes());
    bytes.put(chain.key.as_bytes());
    bytes.put_u32(chain.next);
    bytes.put_u32(chain.previous);
}

fn read_sending(reader: &mut Reader<'_>) -> Result<SendingChain, Malformed> {
    Ok(SendingChain {
        ours: X25519KeyPair::from_secret(X25519Secret::copy_from(reader.array()?)).ok_or(Malformed)?,
        key: ChainKey::new(Secret32::copy_from(reader.array()?)),
        next: reader.u32()?,
        previous: reader.u32()?,
    })
}

fn write_receiving(chain: &ReceivingChain, bytes: &mut Vec<u8>) {
    bytes.put(chain.theirs.as_bytes());
    bytes.put(chain.key.as_bytes());
    bytes.put_u32(chain.next);
}

fn read_receiving(reader: &mut Reader<'_>) -> Result<ReceivingChain, Malformed> {
    let chain = ReceivingChain {
        theirs: read_key(reader)?,
        key: ChainKey::new(Secret32::copy_from(reader.array()?)),
        next: reader.u32()?,
    };
    // A receiving chain begins with the message that made it.
    if chain.next == 0 {
        return Err(Malformed);
    }
    Ok(chain)
}

fn write_skipped(skipped: &[StoredKey], bytes: &mut Vec<u8>) {
    // Never more than `MAX_SKIPPED_KEYS`, which two bytes count.
    bytes.put_u16(u16::try_from(skipped.len()).unwrap_or(u16::MAX));
    for stored in skipped {
        bytes.put(stored.skipped.ratchet_key.as_bytes());
        bytes.put_u32(stored.skipped.number);
        bytes.put_u64(stored.stored_at_ms);
        bytes.put(stored.skipped.key.as_bytes());
    }
}

fn read_skipped(reader: &mut Reader<'_>) -> Result<Vec<StoredKey>, Malformed> {
    let count = usize::from(reader.u16()?);
    if count > MAX_SKIPPED_KEYS {
        return Err(Malformed);
    }
    (0..count)
        .map(|_| {
            let ratchet_key = read_key(reader)?;
            let number = reader.u32()?;
            let stored_at_ms = reader.u64()?;
            let key = MessageKey::new(Secret32::copy_from(reader.array()?));
            let skipped = SkippedKey {
                ratchet_key,
                number,
                key,
            };
            Ok(StoredKey {
                skipped,
                stored_at_ms,
            })
        })
        .collect()
}

/// A key is kept for a message that was passed over, and once.
fn check_skipped(skipped: &[StoredKey], turn: &Turn) -> Result<(), Malformed> {
    let receiving = match turn {
        Turn::Opening { .. } if skipped.is_empty() => return Ok(()),
        Turn::Opening { .. } => return Err(Malformed),
        Turn::Leading { receiving, .. } | Turn::Following { receiving, .. } => receiving,
    };
    let mut seen = BTreeSet::new();
    for StoredKey { skipped, .. } in skipped {
        let passed = skipped.ratchet_key != receiving.theirs || skipped.number < receiving.next;
        if !passed || !seen.insert((skipped.ratchet_key, skipped.number)) {
            return Err(Malformed);
        }
    }
    Ok(())
}

/// The two directions never share a ratchet key, and so never a chain.
fn check_keys_differ(turn: &Turn) -> Result<(), Malformed> {
    match turn {
        Turn::Leading { sending, receiving } if *sending.ours.public() == receiving.theirs => Err(Malformed),
        _ => Ok(()),
    }
}

fn read_key(reader: &mut Reader<'_>) -> Result<X25519Key, Malformed> {
    X25519Key::from_slice(reader.array::<32>()?).map_err(|_| Malformed)
}

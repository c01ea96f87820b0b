//! Refresh tokens. All of one session share a secret, the *family*, and each has one of its own:
//!
//! ```text
//!  token = session id (16) ‖ family (32) ‖ own (32), each in lower-case hexadecimal
//!
//!  own = the newest               ─▶ another newest; this one becomes the one before
//!  own = the one before           ─▶ another newest; the one it replaces is void with its access token
//!  own = anything else, family ok ─▶ it was a token of this session once: the session ends
//!  family = anything else         ─▶ somebody who knows no token of the session: nothing happens
//! ```
//!
//! The server keeps three hashes for each session, however often it is refreshed. The one before stays
//! good until the newest was used: its answer may have been lost on the way. Who stole a token and whom it
//! was stolen from cannot both go on: whoever presents what the other has displaced ends the session.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{hex, random};
use crate::refusal::Refusal;

const ID_LEN: usize = 16;
const SECRET_LEN: usize = 32;

/// A refresh token as its device holds it.
pub(crate) struct RefreshToken {
    session: [u8; ID_LEN],
    family: [u8; SECRET_LEN],
    own: [u8; SECRET_LEN],
}

/// A token without its secrets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefreshHashes {
    pub(crate) session: [u8; ID_LEN],
    pub(crate) family: SecretHash,
    pub(crate) own: SecretHash,
}

/// What the server keeps of one part of a token.
#[derive(Clone, Copy)]
pub(crate) struct SecretHash(pub(crate) [u8; 32]);

impl RefreshToken {
    /// The first of a new session.
    pub(crate) fn generate() -> Result<Self, Refusal> {
        Ok(Self {
            session: random()?,
            family: random()?,
            own: random()?,
        })
    }

    /// Another of the same session.
    pub(crate) fn next(&self) -> Result<Self, Refusal> {
        Ok(Self {
            session: self.session,
            family: self.family,
            own: random()?,
        })
    }

    /// Reads what a device presents.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let bytes = hex::read::<{ ID_LEN + 2 * SECRET_LEN }>(text)?;
        let (session, rest) = bytes.split_first_chunk()?;
        let (family, rest) = rest.split_first_chunk()?;
        Some(Self {
            session: *session,
            family: *family,
            own: rest.try_into().ok()?,
        })
    }

    pub(crate) fn session(&self) -> [u8; ID_LEN] {
        self.session
    }

    /// What the server keeps of it, or knows it by.
    pub(crate) fn hashes(&self) -> RefreshHashes {
        RefreshHashes {
            session: self.session,
            family: SecretHash::of(&self.family),
            own: SecretHash::of(&self.own),
        }
    }

    pub(crate) fn into_text(self) -> String {
        let mut text = hex::write(&self.session);
        text.push_str(&hex::write(&self.family));
        text.push_str(&hex::write(&self.own));
        text
    }
}

impl SecretHash {
    /// The secrets are random and long: one round of a fast hash is enough.
    fn of(secret: &[u8; SECRET_LEN]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Whether this is the stored hash. Takes the same time for every hash.
    pub(crate) fn is(&self, stored: &[u8]) -> bool {
        self.0.as_slice().ct_eq(stored).into()
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken([redacted])")
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_from_its_text() {
        let token = RefreshToken::generate().unwrap();
        let (session, family, own) = (token.session, token.family, token.own);
        let read = RefreshToken::read(&token.into_text()).unwrap();
        assert_eq!((read.session, read.family, read.own), (session, family, own));
    }

    #[test]
    fn the_next_token_shares_the_session_and_the_family_and_nothing_else() {
        let token = RefreshToken::generate().unwrap();
        let next = token.next().unwrap();
        assert_eq!((next.session, next.family), (token.session, token.family));
        assert_ne!(next.own, token.own);
    }

    #[test]
    fn what_is_not_written_as_a_token_is_none() {
        let text = RefreshToken::generate().unwrap().into_text();
        assert!(RefreshToken::read(&text).is_some());
        let longer = format!("{text}00");
        let upper = format!("A{}", text.get(1..).unwrap());
        for bad in ["", text.get(1..).unwrap(), &longer, &upper, &"ü".repeat(80)] {
            assert!(RefreshToken::read(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn neither_a_token_nor_a_hash_prints_itself() {
        let token = RefreshToken::generate().unwrap();
        let printed = format!("{token:?} {:?}", token.hashes().own);
        assert_eq!(printed, "RefreshToken([redacted]) SecretHash([redacted])");
    }
}

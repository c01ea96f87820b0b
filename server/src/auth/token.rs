//! Access tokens: opaque to the device, and to the server only a hash.

use std::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use sottovoce_proto::v1::ErrorReason;

use super::{hex, random};
use crate::refusal::Refusal;

/// Random bytes of a token.
const TOKEN_LEN: usize = 32;

/// A token on its way to the device. Nothing keeps it afterwards.
pub(crate) struct AccessToken(String);

/// SHA-256 of a token's text: what the database holds, and what a presented token is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenHash(pub(crate) [u8; 32]);

impl AccessToken {
    pub(crate) fn generate() -> Result<Self, Refusal> {
        Ok(Self(hex::write(&random::<TOKEN_LEN>()?)))
    }

    pub(crate) fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken([redacted])")
    }
}

impl TokenHash {
    /// The hash of the token in `authorization: Bearer <token>`.
    pub(crate) fn presented(headers: &HeaderMap) -> Result<Self, Refusal> {
        let header = headers
            .get(AUTHORIZATION)
            .ok_or_else(|| Refusal::because(ErrorReason::TokenMissing))?;
        let invalid = || Refusal::because(ErrorReason::TokenInvalid);
        let (scheme, token) = header
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .ok_or_else(invalid)?;
        if scheme.eq_ignore_ascii_case("bearer") && hex::read::<TOKEN_LEN>(token).is_some() {
            Ok(Self::of(token))
        } else {
            Err(invalid())
        }
    }

    fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_again_by_what_its_device_presents() {
        let token = AccessToken::generate().unwrap();
        let hash = token.hash();
        let mut headers = HeaderMap::new();
        headers.insert(
            AUTHORIZATION,
            format!("Bearer {}", token.into_text()).parse().unwrap(),
        );
        assert_eq!(TokenHash::presented(&headers).unwrap(), hash);
    }

    #[test]
    fn a_token_does_not_print_itself() {
        let token = AccessToken::generate().unwrap();
        assert!(!format!("{token:?}").contains(&token.0));
    }
}

//! How a device shows who it is: it signs a challenge once, then carries a token.

mod callers;
mod challenge;
mod hex;
mod origin;
mod refresh;
mod token;

pub(crate) use callers::Callers;
pub(crate) use challenge::Challenges;
pub(crate) use origin::Origin;
pub(crate) use refresh::{RefreshHashes, RefreshToken, SecretHash};
pub(crate) use token::{AccessToken, TokenHash};

use sottovoce_proto::v1::ErrorReason;

use crate::refusal::Refusal;

/// Random bytes from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no randomness");
        Refusal::because(ErrorReason::Internal)
    })?;
    Ok(bytes)
}

//! Signing in: by a challenge, or by the refresh token of an earlier sign-in, which is good once.

use core::fmt;

use sottovoce_proto::v1;
use sottovoce_proto::v1::auth_service_client::AuthServiceClient;
use zeroize::Zeroizing;

use crate::transport::{Refused, Token, Transport, answer, timed};

/// What signing in brings.
pub(crate) struct Tokens {
    pub(crate) access: Token,
    /// None from a server that gives none out.
    pub(crate) refresh: Option<RefreshToken>,
}

/// Good for one more set of tokens. Whoever presents it gives it away: presenting it again, after an
/// answer that was lost, would look like theft. Kept in memory only; after a restart a device signs a
/// challenge.
pub(crate) struct RefreshToken(Zeroizing<String>);

impl RefreshToken {
    fn new(token: String) -> Option<Self> {
        (!token.is_empty()).then(|| Self(Zeroizing::new(token)))
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken([redacted])")
    }
}

impl Tokens {
    fn new(access: String, refresh: String) -> Result<Self, Refused> {
        Ok(Self {
            access: Token::new(&Zeroizing::new(access)).ok_or_else(Refused::unavailable)?,
            refresh: RefreshToken::new(refresh),
        })
    }
}

impl Transport {
    pub(crate) async fn begin_authentication(
        &self,
        device_id: Vec<u8>,
    ) -> Result<v1::BeginAuthenticationResponse, Refused> {
        let mut client = AuthServiceClient::new(self.channel());
        let request = timed(v1::BeginAuthenticationRequest { device_id });
        answer(client.begin_authentication(request)).await
    }

    pub(crate) async fn complete_authentication(
        &self,
        request: v1::CompleteAuthenticationRequest,
    ) -> Result<Tokens, Refused> {
        let mut client = AuthServiceClient::new(self.channel());
        let response = answer(client.complete_authentication(timed(request))).await?;
        Tokens::new(response.access_token, response.refresh_token)
    }

    pub(crate) async fn refresh_tokens(&self, token: RefreshToken) -> Result<Tokens, Refused> {
        let mut client = AuthServiceClient::new(self.channel());
        let request = timed(v1::RefreshTokensRequest {
            refresh_token: token.0.to_string(),
        });
        let response = answer(client.refresh_tokens(request)).await?;
        Tokens::new(response.access_token, response.refresh_token)
    }
}

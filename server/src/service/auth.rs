//! Signing in: a challenge, the device's signature over it, a token.

use std::sync::Arc;

use sottovoce_proto::v1;
use sottovoce_proto::v1::auth_service_server::AuthService;
use sottovoce_proto::v1::{
    BeginAuthenticationRequest, BeginAuthenticationResponse, CompleteAuthenticationRequest,
    CompleteAuthenticationResponse, ErrorReason,
};
use sottovoce_statements::{AuthChallenge, DeviceId, IdentityKey, Signed, Verified};
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::auth::AccessToken;
use crate::clock::{millis, now_ms};
use crate::fields;
use crate::refusal::Refusal;
use crate::service::unsupported;
use crate::store::IssueToken;

/// `sottovoce.v1.AuthService`.
#[derive(Clone, Debug)]
pub(crate) struct Auth(pub(crate) Arc<App>);

#[tonic::async_trait]
impl AuthService for Auth {
    async fn begin_authentication(
        &self,
        request: Request<BeginAuthenticationRequest>,
    ) -> Result<Response<BeginAuthenticationResponse>, Status> {
        let device = fields::device_id(&request.get_ref().device_id, "device_id")?;
        // Whether the device is known shows only once it has signed.
        let (nonce, expires_at_ms) = self.0.challenges.make(device, now_ms())?;
        Ok(Response::new(BeginAuthenticationResponse {
            nonce,
            expires_at_ms,
        }))
    }

    async fn complete_authentication(
        &self,
        request: Request<CompleteAuthenticationRequest>,
    ) -> Result<Response<CompleteAuthenticationResponse>, Status> {
        let challenge = fields::signed::<AuthChallenge>(request.get_ref().challenge.as_ref(), "challenge")?;
        let now_ms = now_ms();
        let challenge = self.0.verify_challenge(challenge, now_ms).await?;
        // Only after the signature: nobody else can use up a device's challenge.
        self.0
            .challenges
            .use_up(&challenge, now_ms)
            .map_err(Refusal::from)?;
        let (token, expires_at_ms) = self.0.issue_token(challenge.device_id, now_ms).await?;
        Ok(Response::new(CompleteAuthenticationResponse {
            access_token: token.into_text(),
            expires_at_ms,
            ..Default::default()
        }))
    }

    async fn refresh_tokens(
        &self,
        _: Request<v1::RefreshTokensRequest>,
    ) -> Result<Response<v1::RefreshTokensResponse>, Status> {
        Err(unsupported())
    }

    async fn list_sessions(
        &self,
        _: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        Err(unsupported())
    }

    async fn revoke_session(
        &self,
        _: Request<v1::RevokeSessionRequest>,
    ) -> Result<Response<v1::RevokeSessionResponse>, Status> {
        Err(unsupported())
    }
}

impl App {
    async fn verify_challenge(
        &self,
        challenge: Signed<AuthChallenge>,
        now_ms: u64,
    ) -> Result<Verified<AuthChallenge>, Refusal> {
        self.challenges.check(challenge.claimed(), now_ms)?;
        let key = self.store.identity_key(&challenge.claimed().device_id).await?;
        let key = key.ok_or_else(|| Refusal::because(ErrorReason::DeviceUnknown))?;
        let key = IdentityKey::from_slice(&key).map_err(|error| {
            tracing::error!(%error, "a stored identity key is damaged");
            Refusal::because(ErrorReason::Internal)
        })?;
        challenge.verify(&key).map_err(|_| fields::unsigned("challenge"))
    }

    async fn issue_token(&self, device: DeviceId, now_ms: u64) -> Result<(AccessToken, u64), Refusal> {
        let token = AccessToken::generate()?;
        let expires_at_ms = now_ms.saturating_add(millis(self.limits.access_token_lifetime));
        let change = IssueToken {
            hash: token.hash().0,
            device,
            expires_at_ms,
            now_ms,
            max_per_device: self.limits.max_tokens_per_device,
        };
        self.store.write(change).await?;
        Ok((token, expires_at_ms))
    }
}

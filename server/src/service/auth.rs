//! Signing in: a challenge, the device's signature over it, a session with its tokens.

use std::sync::Arc;
use std::time::Duration;

use sottovoce_proto::v1::auth_service_server::AuthService;
use sottovoce_proto::v1::{
    BeginAuthenticationRequest, BeginAuthenticationResponse, CompleteAuthenticationRequest,
    CompleteAuthenticationResponse, ErrorReason, ListSessionsRequest, ListSessionsResponse,
    RefreshTokensRequest, RefreshTokensResponse, RevokeSessionRequest, RevokeSessionResponse, Session,
};
use sottovoce_statements::{AuthChallenge, IdentityKey, Signed, Statement, Verified};
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::auth::{AccessToken, Origin, RefreshToken};
use crate::clock::{day, day_begins_ms, millis, now_ms};
use crate::fields;
use crate::gate::caller;
use crate::refusal::Refusal;
use crate::store::{
    Caller, Refresh, RefreshRefusal, Refreshed, RevokeSession, SessionUnknown, SignIn, SignInPace,
    SignInRefusal, StoredSession,
};

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
        let origin = origin(&request);
        let challenge = fields::signed::<AuthChallenge>(request.get_ref().challenge.as_ref(), "challenge")?;
        let now_ms = now_ms();
        let challenge = self.0.verify_answer(challenge, "challenge", now_ms).await?;
        Ok(Response::new(self.0.sign_in(challenge, origin, now_ms).await?))
    }

    async fn refresh_tokens(
        &self,
        request: Request<RefreshTokensRequest>,
    ) -> Result<Response<RefreshTokensResponse>, Status> {
        let origin = origin(&request);
        let presented = RefreshToken::read(&request.get_ref().refresh_token);
        let presented = presented.ok_or_else(|| Refusal::because(ErrorReason::RefreshInvalid))?;
        Ok(Response::new(self.0.refresh(presented, origin).await?))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let caller = caller(&request)?;
        let sessions = self.0.store.sessions(&caller.device, now_ms()).await;
        let sessions = sessions.map_err(Refusal::from)?;
        Ok(Response::new(ListSessionsResponse {
            sessions: sessions
                .into_iter()
                .map(|session| to_message(session, &caller))
                .collect(),
        }))
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        let change = RevokeSession {
            device: caller(&request)?.device,
            session: fields::id(&request.get_ref().session_id, "session_id")?,
        };
        self.0.store.write(change).await.map_err(Refusal::from)?;
        Ok(Response::new(RevokeSessionResponse {}))
    }
}

impl App {
    /// The answer to a challenge that this server made, whatever it is given for, signed by the device it was
    /// made for.
    pub(super) async fn verify_answer<S>(
        &self,
        answer: Signed<S>,
        field: &'static str,
        now_ms: u64,
    ) -> Result<Verified<S>, Refusal>
    where
        S: Statement<Signer = IdentityKey> + AsRef<AuthChallenge>,
    {
        let challenge = answer.claimed().as_ref();
        self.challenges.check(challenge, now_ms)?;
        let key = self.store.identity_key(&challenge.device_id).await?;
        let key = key.ok_or_else(|| Refusal::because(ErrorReason::DeviceUnknown))?;
        let key = IdentityKey::from_slice(&key).map_err(|error| {
            tracing::error!(%error, "a stored identity key is damaged");
            Refusal::because(ErrorReason::Internal)
        })?;
        answer.verify(&key).map_err(|_| fields::unsigned(field))
    }

    async fn sign_in(
        &self,
        challenge: Verified<AuthChallenge>,
        origin: Origin,
        now_ms: u64,
    ) -> Result<CompleteAuthenticationResponse, Refusal> {
        let access = AccessToken::generate()?;
        let refresh = RefreshToken::generate()?;
        let answer = CompleteAuthenticationResponse {
            expires_at_ms: self.access_expires_at_ms(now_ms),
            refresh_expires_at_ms: self.refresh_expires_at_ms(now_ms),
            session_id: refresh.session().to_vec(),
            ..Default::default()
        };
        let change = SignIn {
            challenge,
            access: access.hash(),
            access_expires_at_ms: answer.expires_at_ms,
            refresh_expires_at_ms: answer.refresh_expires_at_ms,
            origin,
            now_ms,
            pace: SignInPace::of(&self.limits),
            max_sessions: self.limits.max_sessions_per_device,
            first: refresh.hashes(),
        };
        self.store.write(change).await?;
        Ok(CompleteAuthenticationResponse {
            access_token: access.into_text(),
            refresh_token: refresh.into_text(),
            ..answer
        })
    }

    async fn refresh(
        &self,
        presented: RefreshToken,
        origin: Origin,
    ) -> Result<RefreshTokensResponse, Refusal> {
        let now_ms = now_ms();
        let access = AccessToken::generate()?;
        let next = presented.next()?;
        let expires_at_ms = self.access_expires_at_ms(now_ms);
        let change = Refresh {
            presented: presented.hashes(),
            origin,
            next: next.hashes().own,
            access: access.hash(),
            access_expires_at_ms: expires_at_ms,
            refresh_expires_at_ms: self.refresh_expires_at_ms(now_ms),
            session_days: day(millis(self.limits.session_lifetime)),
            now_ms,
        };
        match self.store.refresh(change).await? {
            Refreshed::Renewed {
                refresh_expires_at_ms,
            } => Ok(RefreshTokensResponse {
                access_token: access.into_text(),
                expires_at_ms,
                refresh_token: next.into_text(),
                refresh_expires_at_ms,
            }),
            Refreshed::Reused => Err(Refusal::because(ErrorReason::RefreshReused)),
        }
    }

    fn access_expires_at_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add(millis(self.limits.access_token_lifetime))
    }

    /// At the beginning of a day: that somebody was here is kept by the day.
    fn refresh_expires_at_ms(&self, now_ms: u64) -> u64 {
        let limits = &self.limits;
        let lifetime = limits.session_idle_lifetime.min(limits.session_lifetime);
        day_begins_ms(day(now_ms.saturating_add(millis(lifetime))))
    }
}

/// The web origin a call comes from.
fn origin<T>(request: &Request<T>) -> Origin {
    Origin::of(request.metadata().as_ref())
}

fn to_message(session: StoredSession, caller: &Caller) -> Session {
    Session {
        session_id: session.id.to_vec(),
        device_id: session.device.as_bytes().to_vec(),
        created_day: session.created_day,
        last_used_day: session.last_used_day,
        web: session.web,
        current: session.id == caller.grounds.session,
    }
}

impl From<SignInRefusal> for Refusal {
    fn from(refusal: SignInRefusal) -> Self {
        match refusal {
            SignInRefusal::DeviceUnknown => Self::because(ErrorReason::DeviceUnknown),
            SignInRefusal::DeviceBlocked => Self::because(ErrorReason::DeviceBlocked),
            SignInRefusal::ChallengeUsed => Self::because(ErrorReason::ChallengeUsed),
            SignInRefusal::Throttled { wait_ms } => {
                Self::because(ErrorReason::SignInThrottled).retry_after(Duration::from_millis(wait_ms))
            }
        }
    }
}

impl From<RefreshRefusal> for Refusal {
    fn from(refusal: RefreshRefusal) -> Self {
        Self::because(match refusal {
            RefreshRefusal::Invalid => ErrorReason::RefreshInvalid,
            RefreshRefusal::OriginMismatch => ErrorReason::OriginMismatch,
        })
    }
}

impl From<SessionUnknown> for Refusal {
    fn from(_: SessionUnknown) -> Self {
        Self::because(ErrorReason::SessionUnknown)
    }
}

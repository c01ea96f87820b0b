//! The engine's calls, each on the connection it is meant for, and those an app makes directly.

use sottovoce_engine::{Call, PrekeysLeft, Refusal, Reply, Route};
use sottovoce_proto::v1;
use sottovoce_proto::v1::account_service_client::AccountServiceClient;
use sottovoce_proto::v1::auth_service_client::AuthServiceClient;
use sottovoce_proto::v1::mailbox_service_client::MailboxServiceClient;
use sottovoce_proto::v1::prekey_service_client::PrekeyServiceClient;
use tonic::Request;

use crate::error::ClientError;
use crate::transport::{Refused, Token, Transport, answer, signed_in, timed};

impl Transport {
    /// Makes one of the engine's calls. What is to be anonymous goes out on a connection of its own, which
    /// never carries a token.
    pub(crate) async fn call(&self, call: Call, token: &Token) -> Result<Reply, Refused> {
        let (channel, token) = match call.route() {
            Route::SignedIn => (self.channel(), Some(token)),
            Route::Anonymous => (self.anonymous(), None),
        };
        let accounts = || AccountServiceClient::new(channel.clone());
        let prekeys = || PrekeyServiceClient::new(channel.clone());
        let mailbox = || MailboxServiceClient::new(channel.clone());
        match call {
            Call::GetAccount(request) => answer(accounts().get_account(by(request, token)))
                .await
                .map(Reply::Account),
            Call::SetAccessKey(request) => answer(accounts().set_access_key(by(request, token)))
                .await
                .map(|_| Reply::AccessKeySet),
            Call::PublishPrekeys(request) => answer(prekeys().publish_prekeys(by(request, token)))
                .await
                .map(|left| prekeys_left(left.one_time_remaining, left.one_time_kem_remaining)),
            Call::CountPrekeys(request) => answer(prekeys().count_prekeys(by(request, token)))
                .await
                .map(|left| prekeys_left(left.one_time_remaining, left.one_time_kem_remaining)),
            Call::FetchPrekeyBundles(request) => answer(prekeys().fetch_prekey_bundles(by(request, token)))
                .await
                .map(Reply::Bundles),
            Call::Send(request) => answer(mailbox().send(by(request, token))).await.map(Reply::Sent),
            Call::SendSealed(request) => answer(mailbox().send_sealed(by(request, token)))
                .await
                .map(Reply::Sent),
            Call::Acknowledge(request) => answer(mailbox().acknowledge(by(request, token)))
                .await
                .map(|_| Reply::Acknowledged),
        }
    }
}

/// Makes calls for the app, in the name of this device, while it is signed in.
pub(crate) struct Caller {
    pub(crate) transport: Transport,
    pub(crate) token: Token,
}

impl Caller {
    pub(crate) async fn list_sessions(&self) -> Result<Vec<v1::Session>, ClientError> {
        let mut client = AuthServiceClient::new(self.transport.channel());
        let request = self.request(v1::ListSessionsRequest {});
        Ok(answer(client.list_sessions(request)).await?.sessions)
    }

    pub(crate) async fn revoke_session(&self, session_id: &[u8; 16]) -> Result<(), ClientError> {
        let mut client = AuthServiceClient::new(self.transport.channel());
        let request = self.request(v1::RevokeSessionRequest {
            session_id: session_id.to_vec(),
        });
        answer(client.revoke_session(request)).await?;
        Ok(())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        by(message, Some(&self.token))
    }
}

impl From<Refused> for ClientError {
    fn from(refused: Refused) -> Self {
        match refused.because {
            Refusal::Because(reason) => Self::Refused(reason),
            Refusal::Unavailable => Self::Unavailable,
        }
    }
}

/// A request by whoever has the token, or by nobody in particular.
pub(crate) fn by<T>(message: T, token: Option<&Token>) -> Request<T> {
    let request = timed(message);
    match token {
        Some(token) => signed_in(request, token),
        None => request,
    }
}

fn prekeys_left(one_time: u32, one_time_kem: u32) -> Reply {
    Reply::PrekeysLeft(PrekeysLeft {
        one_time,
        one_time_kem,
    })
}

//! The engine's calls, each on the connection it is meant for, and those an app makes directly.

use sha2::{Digest, Sha256};
use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_engine::{Call, PrekeysLeft, Refusal, Reply, Route};
use sottovoce_proto::v1;
use sottovoce_proto::v1::account_service_client::AccountServiceClient;
use sottovoce_proto::v1::auth_service_client::AuthServiceClient;
use sottovoce_proto::v1::channel_service_client::ChannelServiceClient;
use sottovoce_proto::v1::mailbox_service_client::MailboxServiceClient;
use sottovoce_proto::v1::prekey_service_client::PrekeyServiceClient;
use tonic::Request;
use tonic::transport::Channel;

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
        let channels = || ChannelServiceClient::new(channel.clone());
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
            Call::UpdateManifest(request) => answer(accounts().update_manifest(by(request, token)))
                .await
                .map(|_| Reply::ManifestTaken),
            Call::PutLinkingGrant(request) => answer(accounts().put_linking_grant(by(request, token)))
                .await
                .map(|_| Reply::GrantLeft),
            Call::CreateChannel(request) => answer(channels().create_channel(by(request, token)))
                .await
                .map(|_| Reply::ChannelCreated),
            Call::AppendRosterEntry(request) => answer(channels().append_roster_entry(by(request, token)))
                .await
                .map(|_| Reply::EntryTaken),
            Call::GetRosterEntries(request) => answer(channels().get_roster_entries(by(request, token)))
                .await
                .map(Reply::Entries),
            Call::ListChannels(request) => answer(channels().list_channels(by(request, token)))
                .await
                .map(Reply::Channels),
            Call::Post(request) => answer(channels().post(by(request, token)))
                .await
                .map(|_| Reply::Posted),
            Call::Send(request) => answer(mailbox().send(by(request, token))).await.map(Reply::Sent),
            Call::SendSealed(request) => answer(mailbox().send_sealed(by(request, token)))
                .await
                .map(Reply::Sent),
            Call::SendBatch(request) => answer(mailbox().send_batch(by(request, token)))
                .await
                .map(Reply::SentBatch),
            Call::CancelScheduled(request) => answer(mailbox().cancel_scheduled(by(request, token)))
                .await
                .map(|answer| Reply::Cancelled(answer.cancelled)),
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

    pub(crate) async fn list_devices(&self) -> Result<Vec<v1::Device>, ClientError> {
        let request = self.request(v1::ListDevicesRequest {});
        Ok(answer(self.accounts().list_devices(request)).await?.devices)
    }

    pub(crate) async fn put_recovery(&self, token: &[u8; 32], blob: Vec<u8>) -> Result<(), ClientError> {
        let request = self.request(v1::PutRecoveryBlobRequest {
            fetch_token_hash: Sha256::digest(token).to_vec(),
            blob,
        });
        answer(self.accounts().put_recovery_blob(request)).await?;
        Ok(())
    }

    pub(crate) async fn remove_recovery(&self) -> Result<(), ClientError> {
        let request = self.request(v1::PutRecoveryBlobRequest::default());
        answer(self.accounts().put_recovery_blob(request)).await?;
        Ok(())
    }

    pub(crate) async fn manifest_history(
        &self,
        address: &Address,
        after_version: u64,
    ) -> Result<Vec<v1::SignedStatement>, ClientError> {
        let request = self.request(v1::GetManifestHistoryRequest {
            address: address.to_string(),
            after_version,
        });
        Ok(answer(self.accounts().get_manifest_history(request))
            .await?
            .manifests)
    }

    pub(crate) async fn challenge(
        &self,
        device_id: DeviceId,
    ) -> Result<v1::BeginAuthenticationResponse, ClientError> {
        let id = device_id.as_bytes().to_vec();
        Ok(self.transport.begin_authentication(id).await?)
    }

    pub(crate) async fn delete_account(&self, signed: v1::DeleteAccountRequest) -> Result<(), ClientError> {
        answer(self.accounts().delete_account(self.request(signed))).await?;
        Ok(())
    }

    fn accounts(&self) -> AccountServiceClient<Channel> {
        AccountServiceClient::new(self.transport.channel())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        by(message, Some(&self.token))
    }
}

/// What is called before there is anything to sign in with.
impl Transport {
    pub(crate) async fn update_manifest(&self, request: v1::UpdateManifestRequest) -> Result<(), Refused> {
        let mut client = AccountServiceClient::new(self.channel());
        answer(client.update_manifest(timed(request))).await.map(drop)
    }

    pub(crate) async fn fetch_linking_grants(&self, device_id: Vec<u8>) -> Result<Vec<Vec<u8>>, Refused> {
        let mut client = AccountServiceClient::new(self.channel());
        let request = timed(v1::FetchLinkingGrantsRequest { device_id });
        Ok(answer(client.fetch_linking_grants(request)).await?.grants)
    }

    pub(crate) async fn fetch_recovery_blob(
        &self,
        address: &Address,
        token: &[u8; 32],
    ) -> Result<v1::FetchRecoveryBlobResponse, Refused> {
        let mut client = AccountServiceClient::new(self.channel());
        let request = timed(v1::FetchRecoveryBlobRequest {
            address: address.to_string(),
            fetch_token: token.to_vec(),
        });
        answer(client.fetch_recovery_blob(request)).await
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

//! Channels: a signed roster each, and posts to the devices of its members.

mod append;
mod post;

use std::sync::Arc;

use sottovoce_proto::v1::channel_service_server::ChannelService;
use sottovoce_proto::v1::{
    AppendRosterEntryRequest, AppendRosterEntryResponse, ChannelSummary, CreateChannelRequest,
    CreateChannelResponse, ErrorReason, GetRosterEntriesRequest, GetRosterEntriesResponse,
    ListChannelsRequest, ListChannelsResponse, PostRequest, PostResponse,
};
use sottovoce_statements::ChannelId;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::gate::caller;
use crate::limits::{MAX_CHANNEL_PAGE, MAX_ROSTER_CHANGES, MAX_ROSTER_PAGE};
use crate::refusal::Refusal;

/// `sottovoce.v1.ChannelService`.
#[derive(Clone, Debug)]
pub(crate) struct Channels {
    app: Arc<App>,
    /// Turns for those who have a whole roster in memory.
    changes: Arc<Semaphore>,
}

impl Channels {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self {
            app,
            changes: Arc::new(Semaphore::new(MAX_ROSTER_CHANGES)),
        }
    }
}

#[tonic::async_trait]
impl ChannelService for Channels {
    async fn create_channel(
        &self,
        request: Request<CreateChannelRequest>,
    ) -> Result<Response<CreateChannelResponse>, Status> {
        let caller = caller(&request)?;
        let genesis = request.into_inner().genesis;
        let channel = self.app.found_channel(&caller, genesis.as_ref()).await?;
        Ok(Response::new(CreateChannelResponse {
            channel_id: channel.as_bytes().to_vec(),
        }))
    }

    async fn append_roster_entry(
        &self,
        request: Request<AppendRosterEntryRequest>,
    ) -> Result<Response<AppendRosterEntryResponse>, Status> {
        let caller = caller(&request)?;
        let entry = request.into_inner().entry;
        let _turn = self.changes.acquire().await;
        let height = self.app.append_entry(&caller, entry.as_ref()).await?;
        Ok(Response::new(AppendRosterEntryResponse { height }))
    }

    async fn get_roster_entries(
        &self,
        request: Request<GetRosterEntriesRequest>,
    ) -> Result<Response<GetRosterEntriesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let channel = channel_id(&request.channel_id)?;
        let store = &self.app.store;
        let view = store.channel_view(&channel, &caller.address).await;
        let view = view.map_err(Refusal::from)?.ok_or_else(unknown)?;
        let head_height = view.readable_until;
        let entries = store.roster_entries(&channel, request.from_height, head_height, MAX_ROSTER_PAGE);
        Ok(Response::new(GetRosterEntriesResponse {
            entries: entries.await.map_err(Refusal::from)?,
            head_height,
        }))
    }

    async fn list_channels(
        &self,
        request: Request<ListChannelsRequest>,
    ) -> Result<Response<ListChannelsResponse>, Status> {
        let caller = caller(&request)?;
        let after = request.into_inner().after_channel_id;
        if !matches!(after.len(), 0 | 32) {
            return Err(Refusal::field("after_channel_id").into());
        }
        let found = self
            .app
            .store
            .channels_of(&caller.address, &after, MAX_CHANNEL_PAGE);
        let channels = found.await.map_err(Refusal::from)?.into_iter();
        Ok(Response::new(ListChannelsResponse {
            channels: channels
                .map(|(channel_id, head)| ChannelSummary {
                    channel_id,
                    head_height: head.height,
                    head_hash: head.hash.to_vec(),
                })
                .collect(),
        }))
    }

    async fn post(&self, request: Request<PostRequest>) -> Result<Response<PostResponse>, Status> {
        let caller = caller(&request)?;
        let post = self.app.read_post(&caller, request.into_inner())?;
        let channel = post.channel;
        let receipt = self.app.store.write(post).await.map_err(Refusal::from)?;
        self.app.fan_outs.begin(channel);
        Ok(Response::new(PostResponse {
            receipt_id: receipt.receipt_id.to_vec(),
            accepted_at_ms: receipt.accepted_at_ms,
        }))
    }
}

/// 32 bytes.
fn channel_id(bytes: &[u8]) -> Result<ChannelId, Refusal> {
    let bytes = bytes.try_into().map_err(|_| Refusal::field("channel_id"))?;
    Ok(ChannelId::from_bytes(bytes))
}

/// Who is not a member is not told whether there is such a channel.
fn unknown() -> Refusal {
    Refusal::because(ErrorReason::ChannelUnknown)
}

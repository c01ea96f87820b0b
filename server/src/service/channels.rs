//! Channels: a signed roster each, and posts to the devices of its members.

use std::sync::Arc;

use sottovoce_proto::v1;
use sottovoce_proto::v1::channel_service_server::ChannelService;
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::service::unsupported;

/// `sottovoce.v1.ChannelService`.
#[derive(Clone, Debug)]
pub(crate) struct Channels(pub(crate) Arc<App>);

#[tonic::async_trait]
impl ChannelService for Channels {
    async fn create_channel(
        &self,
        _: Request<v1::CreateChannelRequest>,
    ) -> Result<Response<v1::CreateChannelResponse>, Status> {
        Err(unsupported())
    }

    async fn append_roster_entry(
        &self,
        _: Request<v1::AppendRosterEntryRequest>,
    ) -> Result<Response<v1::AppendRosterEntryResponse>, Status> {
        Err(unsupported())
    }

    async fn get_roster_entries(
        &self,
        _: Request<v1::GetRosterEntriesRequest>,
    ) -> Result<Response<v1::GetRosterEntriesResponse>, Status> {
        Err(unsupported())
    }

    async fn list_channels(
        &self,
        _: Request<v1::ListChannelsRequest>,
    ) -> Result<Response<v1::ListChannelsResponse>, Status> {
        Err(unsupported())
    }

    async fn post(&self, _: Request<v1::PostRequest>) -> Result<Response<v1::PostResponse>, Status> {
        Err(unsupported())
    }
}

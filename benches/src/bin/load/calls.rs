//! The clients of one connection, and many devices joining over a few.

use futures_util::stream::{StreamExt, iter};
use sottovoce_proto::v1::account_service_client::AccountServiceClient;
use sottovoce_proto::v1::auth_service_client::AuthServiceClient;
use sottovoce_proto::v1::channel_service_client::ChannelServiceClient;
use sottovoce_proto::v1::mailbox_service_client::MailboxServiceClient;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use crate::device::Device;

/// Joins under way at one time. As many signature checks keep a server busy, and none waits long.
const JOINS: usize = 32;

/// Connections that joining devices share.
const JOIN_CONNECTIONS: usize = 4;

/// All clients over one connection.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) accounts: AccountServiceClient<Channel>,
    pub(crate) auth: AuthServiceClient<Channel>,
    pub(crate) mailbox: MailboxServiceClient<Channel>,
    pub(crate) channels: ChannelServiceClient<Channel>,
}

impl Calls {
    pub(crate) async fn connect(endpoint: &Endpoint) -> Self {
        let channel = endpoint.connect().await.unwrap();
        Self {
            accounts: AccountServiceClient::new(channel.clone()),
            auth: AuthServiceClient::new(channel.clone()),
            mailbox: MailboxServiceClient::new(channel.clone()),
            channels: ChannelServiceClient::new(channel),
        }
    }
}

/// A request that carries a device's token.
pub(crate) fn by<T>(device: &Device, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = format!("Bearer {}", device.token).parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    request
}

/// This many devices, registered and signed in.
pub(crate) async fn join(endpoint: &Endpoint, devices: usize) -> Vec<Device> {
    let mut connections = Vec::new();
    for _ in 0..JOIN_CONNECTIONS {
        connections.push(Calls::connect(endpoint).await);
    }
    iter(connections.iter().cycle().take(devices))
        .map(|calls| Device::random().join(calls))
        .buffered(JOINS)
        .collect()
        .await
}

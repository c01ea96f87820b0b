//! What the services share.

use std::sync::Arc;

use sottovoce_statements::ServerName;
use tokio_util::sync::CancellationToken;

use crate::auth::Challenges;
use crate::blobs::{Downloads, Storage};
use crate::blocks::BlockList;
use crate::config::Registration;
use crate::fan_out::FanOuts;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::prefix::AddressPrefix;
use crate::rates::Rates;
use crate::store::Store;

/// The state behind all services.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) server_name: ServerName,
    pub(crate) registration: Registration,
    pub(crate) limits: Limits,
    pub(crate) store: Arc<Store>,
    pub(crate) hub: Hub,
    /// Whether other nodes may share the database.
    pub(crate) several_nodes: bool,
    pub(crate) fan_outs: FanOuts,
    pub(crate) challenges: Challenges,
    pub(crate) rates: Arc<Rates>,
    pub(crate) blocks: Arc<BlockList>,
    pub(crate) trusted_proxies: Vec<AddressPrefix>,
    /// Where the bytes of blobs lie.
    pub(crate) storage: Storage,
    pub(crate) downloads: Downloads,
    /// Cancelled when the server begins to stop.
    pub(crate) stopping: CancellationToken,
}

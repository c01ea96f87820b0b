//! What the services share.

use std::sync::Arc;
use std::time::Instant;

use sottovoce_statements::ServerName;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::admin::History;
use crate::auth::Challenges;
use crate::blobs::{Downloads, Shelves, Storage};
use crate::blocks::BlockList;
use crate::config::Registration;
use crate::fan_out::FanOuts;
use crate::hub::Hub;
use crate::jobs::RunsHere;
use crate::limits::Limits;
use crate::metrics::Metrics;
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
    /// How far the search for orphans in there has come.
    pub(crate) shelves: Shelves,
    /// Rung when blobs may have been given up: their bytes are to be removed before long.
    pub(crate) given_up: Notify,
    /// What this node is called among those on the same database.
    pub(crate) node: String,
    /// How the jobs went that every node runs for itself.
    pub(crate) runs_here: RunsHere,
    pub(crate) metrics: Metrics,
    pub(crate) history: History,
    pub(crate) started: Instant,
    /// Cancelled when the server is about to stop and should get no new work.
    pub(crate) draining: CancellationToken,
    /// Cancelled when the server begins to stop.
    pub(crate) stopping: CancellationToken,
}

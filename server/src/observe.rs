//! What an operator may see of the whole server at one time.

use crate::admin::Readiness;
use crate::app::App;
use crate::metrics::{Gauges, Process};

impl App {
    /// Whether new work should be sent here.
    pub(crate) async fn readiness(&self) -> Readiness {
        if self.draining.is_cancelled() {
            Readiness::Draining
        } else if self.store.reachable().await {
            Readiness::Ready
        } else {
            Readiness::NoDatabase
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "none of these comes near 2^52")]
    pub(crate) async fn gauges(&self) -> Gauges {
        let process = Process::now();
        Gauges {
            ready: f64::from(u8::from(self.readiness().await == Readiness::Ready)),
            uptime: self.started.elapsed().as_secs_f64(),
            connections: self.metrics.connections.get() as f64,
            streams: self.hub.streams() as f64,
            writer_queue: self.store.queued() as f64,
            database: self.store.size().await.unwrap_or(0) as f64,
            resident: process.resident_bytes,
            open_files: process.open_files,
            max_files: process.max_files,
            cpu: process.cpu_seconds,
        }
    }
}

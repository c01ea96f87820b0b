//! Calls that come too often: refused with a time to wait, by device, by address, by recipient.

mod addresses;
mod devices;
mod kinds;
mod recipients;

use sottovoce_proto::v1::CountPrekeysRequest;
use sottovoce_server::Rate;
use tonic::Status;
use tonic_types::StatusExt;

use crate::common::{Clients, reason, with_token};

/// One at once, and one more in a minute.
const ONE: Rate = Rate::new(1, 1);

/// A refusal that says how long to wait, which is something and not for ever.
#[track_caller]
fn assert_limited(status: &Status) {
    assert_eq!(reason(status), "RATE_LIMITED");
    let retry = status.get_details_retry_info().expect("a time to wait");
    let seconds = retry.retry_delay.unwrap().as_secs_f64();
    assert!(seconds > 0.0 && seconds <= 60.0, "{seconds}");
}

async fn count(clients: &Clients, token: &str) -> Result<(), Status> {
    let request = with_token(token, CountPrekeysRequest {});
    clients.prekeys.clone().count_prekeys(request).await.map(drop)
}

//! The gRPC services. Each call reads its fields, asks the store, and answers; what may be wrong with
//! it is said by a [`Refusal`].

mod accounts;
mod auth;
mod blobs;
mod channels;
mod info;
mod mailbox;
mod prekeys;

pub(crate) use accounts::Accounts;
pub(crate) use auth::Auth;
pub(crate) use blobs::Blobs;
pub(crate) use channels::Channels;
pub(crate) use info::Info;
pub(crate) use mailbox::Mailboxes;
pub(crate) use prekeys::Prekeys;

use std::convert::Infallible;

use sottovoce_proto::v1::ErrorReason;

use crate::refusal::Refusal;
use crate::store::WriteError;

impl<R: Into<Refusal>> From<WriteError<R>> for Refusal {
    fn from(error: WriteError<R>) -> Self {
        match error {
            WriteError::Refused(refusal) => refusal.into(),
            WriteError::Failed => Self::because(ErrorReason::Internal),
            WriteError::Stopping => Self::because(ErrorReason::ShuttingDown),
        }
    }
}

impl From<Infallible> for Refusal {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

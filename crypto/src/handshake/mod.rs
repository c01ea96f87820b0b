//! PQXDH and X3DH: how two devices that have never spoken come to a first root key.
//!
//! ```text
//!  initiator                                      responder
//!  PrekeyBundle ─▶ initiate ─▶ Agreement          InitialMessage + prekeys ─▶ accept ─▶ Agreement
//!                                 │                                                       │
//!                     root key, associated data  ══ equal if nobody meddled ══  root key, associated data
//! ```

mod agreement;
mod associated_data;
mod header;
mod parties;
mod secrets;

pub(crate) use agreement::Agreement;
pub(crate) use header::{HandshakeHeader, HeaderError};
pub(crate) use parties::{Ours, Theirs};
pub use parties::{Party, PrekeyBundle, Prekeys, X3dhPrekeyBundle, X3dhPrekeys};

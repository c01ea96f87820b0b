//! Linking: how an account comes to a new device without its secret ever going there.
//!
//! ```text
//!  new device                                  primary device
//!  PendingLink ── offer, as QR or text ──────▶ LinkingOffer
//!      │                                           │ next manifest, with the new device
//!      ▼                                           ▼
//!  GrantedAccount ◀── grant, by any server ───── seal_grant
//!      │ the user confirms the address
//!      ▼
//!  VerifiedAccount, with the new device's own binding
//! ```

mod grant;
mod offer;
mod open;
mod pending;

pub use grant::MAX_LINKING_DATA_LEN;
pub use offer::LinkingOffer;
pub use open::GrantedAccount;
pub use pending::{LinkingFailed, MAX_LINKING_AGE_MS, PendingLink};

//! Our keys: the account's, the device's, and the prekeys it hands out.

mod account;
mod identity;
mod kem_prekey;
mod prekey;

pub use account::AccountKeyPair;
pub use identity::IdentityKeyPair;
pub use kem_prekey::KemPrekeyPair;
pub use prekey::{OneTimePrekey, OneTimePrekeyPair, SignedPrekeyPair};

//! The heart of a Sottovoce client, without a network, a disk or a clock.
//!
//! An [`Engine`] is one device of one account. It takes [`Input`]s — the app wants to send, an envelope
//! was delivered, a call was answered — and returns [`Outputs`]: records to persist, calls to make,
//! events for the app. Whoever drives it persists first and calls afterwards; then nothing acknowledged
//! is ever lost, whenever the power fails. The same engine runs natively and in a browser.
//!
//! ```
//! use rand_core::SeedableRng;
//! use sottovoce_crypto::statements::Address;
//! use sottovoce_engine::{Body, Engine, Input};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(7); // a real client takes the system's
//! let now = 1_800_000_000_000; // Unix time in milliseconds
//!
//! let (mut engine, outputs) = Engine::create(now, &mut rng, Address::parse("alice@chat.example")?)?;
//! assert!(outputs.records.contains_key("own")); // persist these first
//! assert!(engine.registration().is_some()); // then register
//! engine.handle(now, &mut rng, Input::Registered)?;
//!
//! let outputs = engine.handle(now, &mut rng, Input::Connected)?;
//! assert_eq!(outputs.calls.len(), 2); // prekeys to publish, and who may write to alice unseen
//!
//! let bob = Address::parse("bob@chat.example")?;
//! let (_, outputs) = engine.send(now, &mut rng, &bob, Body::Text("hello".into()))?;
//! assert_eq!(outputs.calls.len(), 1); // who is bob? The message waits until that is answered.
//! # Ok(())
//! # }
//! ```

mod access;
mod accounts;
mod answered;
mod arrived;
mod asked;
mod batch;
mod begin;
mod channel_entries;
mod channel_records;
mod channel_roster;
mod channels;
mod codec;
mod counters;
mod delivery;
mod engine;
mod error;
mod event;
mod event_record;
mod held_session;
mod inbox;
mod io;
mod long_lived_prekeys;
mod message;
mod named;
mod one_time_prekeys;
mod opening_posts;
mod outbox;
mod own;
mod own_account;
mod peers;
mod post;
mod posts;
mod prekeys;
mod receive;
mod recent;
mod records;
mod renew;
mod replays;
mod said;
mod scheduled;
mod sealing;
mod send;
mod sent;
mod sessions;
mod turn;
mod wire;

pub use codec::MAX_BODY_LEN;
pub use delivery::Delivery;
pub use engine::Engine;
pub use error::InputError;
pub use event::{Event, EventId, EventKind, SendFailure, Unreadable};
pub use io::{Call, CallId, Input, Outputs, PrekeysLeft, Refusal, Reply, Route};
pub use message::{Body, ChannelPost, MessageId, ReceivedMessage};
pub use records::RecordError;

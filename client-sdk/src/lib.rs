//! End-to-end encrypted messaging: the Sottovoce client SDK.
//!
//! A [`Client`] is one device of one account at one server. It keeps its keys and its unsent messages in
//! a sealed SQLite file, speaks gRPC to the server, and hands the app [`Event`]s. What it has said it
//! will send it sends, across restarts and lost connections, in order for each recipient; what has
//! happened it tells until the app [acknowledges](Client::acknowledge) it.
//!
//! ```
//! # #[tokio::main(flavor = "multi_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let server = sottovoce_server::Server::bind(sottovoce_server::Config {
//! #     data_dir: dir.path().join("server"),
//! #     listen: "127.0.0.1:0".parse()?,
//! #     ..Default::default()
//! # }).await?;
//! # let url = format!("http://{}", server.local_addr());
//! # tokio::spawn(server.serve(std::future::pending::<()>()));
//! use sottovoce::{Address, Client, Config, EventKind, StoreKey, Streaming};
//!
//! let config = |name: &str| Config {
//!     server: url.clone(),
//!     roots: None, // for https: whom the system believes
//!     store: dir.path().join(name),
//!     key: StoreKey::passphrase("correct horse battery staple"),
//!     streaming: Streaming::OneWay,
//! };
//! let (alice, mut to_alice) = Client::register(config("alice"), &Address::parse("alice@localhost")?).await?;
//! let (bob, mut to_bob) = Client::register(config("bob"), &Address::parse("bob@localhost")?).await?;
//!
//! alice.send_text(bob.address(), "Sotto voce, Bob.").await?; // durable once this returns
//! if let Some(event) = to_alice.next().await {
//!     assert!(matches!(event.kind, EventKind::MessageSent { .. })); // the server has it
//!     alice.acknowledge(event.id).await?; // every event wants that, or it comes again
//! }
//!
//! while let Some(event) = to_bob.next().await {
//!     if let EventKind::MessageReceived(message) = &event.kind {
//!         assert_eq!(message.text(), Some("Sotto voce, Bob."));
//!         bob.acknowledge(event.id).await?;
//!         break;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod attachments;
mod auth;
mod backoff;
mod calls;
mod channels;
mod client;
mod config;
mod connection;
mod devices;
mod driver;
mod error;
mod joining;
mod link;
mod mailbox_stream;
mod register;
mod server_info;
mod sessions;
mod status;
mod store;
mod transport;

pub use attachments::{Attachment, AttachmentError, DownloadError, SealError, SealedAttachment, UploadError};
pub use client::{Client, Events};
pub use config::{Config, Roots, StoreKey, Streaming};
pub use devices::{Device, PastManifest};
pub use error::{ClientError, JoinError, OpenError, RegisterError};
pub use joining::{Granted, Linking};
pub use server_info::{Registration, ServerInfo, ServerInfoError};
pub use sessions::DeviceSession;
pub use sottovoce_crypto::statements::{AccountKey, Address, AddressError, ChannelId, DeviceId, Role};
pub use sottovoce_crypto::{CodeError, LinkingOffer, RecoveryCode};
pub use sottovoce_engine::{
    Body, ChannelPost, Event, EventId, EventKind, InputError, MAX_BODY_LEN, MessageId, ReceivedMessage,
    SendFailure, Unreadable,
};
pub use sottovoce_proto::v1::ErrorReason;
pub use status::Status;

/// The examples of the READMEs compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeOfSdk;

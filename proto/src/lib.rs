//! The Sottovoce protocol, generated from the `.proto` files of this package at build time.
//!
//! By default this is messages only, with no runtime in its tree: what a browser or a sans-IO engine
//! needs. The features `client` and `server` add the gRPC stubs. What each call means is in
//! `PROTOCOL.md`.
//!
//! ```
//! use prost::Message;
//! use sottovoce_proto::v1::GetAccountRequest;
//!
//! let request = GetAccountRequest { address: "alice@chat.example".into(), ..Default::default() };
//! let bytes = request.encode_to_vec();
//! assert_eq!(GetAccountRequest::decode(bytes.as_slice())?.address, "alice@chat.example");
//! # Ok::<(), prost::DecodeError>(())
//! ```

#[cfg(any(feature = "client", feature = "server"))]
mod codec;
mod reason;
mod redacted;

/// Package `sottovoce.v1`: what clients and servers say to each other.
#[allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    reason = "generated from the .proto files, which carry the documentation"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/sottovoce.v1.rs"));
}

/// Package `sottovoce.content.v1`: what is inside a decrypted message.
#[allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    reason = "generated from the .proto files, which carry the documentation"
)]
pub mod content {
    include!(concat!(env!("OUT_DIR"), "/sottovoce.content.v1.rs"));
}

/// The `domain` of every `google.rpc.ErrorInfo` this protocol sends.
pub const ERROR_DOMAIN: &str = "sottovoce.v1";

/// The files of package `sottovoce.v1` as an encoded `google.protobuf.FileDescriptorSet`, for gRPC
/// reflection. What is inside a ciphertext is not among them: a server has no part in it.
#[cfg(feature = "server")]
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

//! Compiles the `.proto` files with `protox`, so that building needs no `protoc` on the machine.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

/// The protocol, then what travels inside its ciphertexts.
const FILES: &[&str] = &[
    "sottovoce/v1/accounts.proto",
    "sottovoce/v1/auth.proto",
    "sottovoce/v1/blobs.proto",
    "sottovoce/v1/channels.proto",
    "sottovoce/v1/errors.proto",
    "sottovoce/v1/mailbox.proto",
    "sottovoce/v1/prekeys.proto",
    "sottovoce/v1/server.proto",
    "sottovoce/v1/statement.proto",
    "sottovoce/content/v1/content.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // What a server describes of itself is what it can read.
    let mut spoken = descriptors.clone();
    spoken.file.retain(|file| file.package() == "sottovoce.v1");
    fs::write(out.join("descriptors.bin"), spoken.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_client(env::var_os("CARGO_FEATURE_CLIENT").is_some())
        .build_server(env::var_os("CARGO_FEATURE_SERVER").is_some())
        .codec_path("crate::codec::Codec")
        // These hold secrets: `redacted.rs` prints them without.
        .skip_debug([
            ".sottovoce.v1.CompleteAuthenticationResponse",
            ".sottovoce.v1.FetchPrekeyBundlesRequest",
            ".sottovoce.v1.FetchRecoveryBlobRequest",
            ".sottovoce.v1.GetAccountRequest",
            ".sottovoce.v1.RefreshTokensRequest",
            ".sottovoce.v1.RefreshTokensResponse",
            ".sottovoce.v1.RegisterRequest",
            ".sottovoce.v1.SendSealedRequest",
            ".sottovoce.content.v1",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}

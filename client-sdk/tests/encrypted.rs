//! A server reached over TLS.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::path::Path;

use common::{address, read};
use rcgen::CertifiedKey;
use sottovoce::{Client, Config, OpenError, RegisterError, Roots, StoreKey};
use sottovoce_server::{Server, TlsFiles};

/// A certificate for this machine that vouches for itself, and where it was written.
fn certificate(folder: &Path) -> (String, TlsFiles) {
    let names = vec!["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).expect("a certificate");
    let files = TlsFiles {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
    };
    std::fs::write(&files.certificate, cert.pem()).expect("written");
    std::fs::write(&files.key, signing_key.serialize_pem()).expect("written");
    (cert.pem(), files)
}

#[tokio::test]
async fn words_go_through_tls_to_the_server_that_is_believed_and_to_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pem, files) = certificate(folder.path());
    let server = Server::bind(sottovoce_server::Config {
        data_dir: folder.path().join("server"),
        listen: "127.0.0.1:0".parse().expect("an address"),
        tls: Some(files),
        ..Default::default()
    })
    .await
    .expect("the server starts");
    let port = server.local_addr().port();
    let serving = tokio::spawn(server.serve(std::future::pending()));
    let config = |name: &str, scheme: &str, roots: Option<Roots>| Config {
        server: format!("{scheme}://localhost:{port}"),
        roots,
        store: folder.path().join(name),
        key: StoreKey::raw([7; 32]),
        streaming: sottovoce::Streaming::default(),
    };
    let believed = |name: &str| config(name, "https", Some(Roots::pem(&pem)));
    let (alice, _to_alice) = Client::register(believed("alice"), &address("alice"))
        .await
        .expect("registered");
    let (bob, mut to_bob) = Client::register(believed("bob"), &address("bob"))
        .await
        .expect("registered");
    alice
        .send_text(bob.address(), "sotto voce")
        .await
        .expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, "sotto voce");

    let elsewhere = tempfile::tempdir().expect("a folder");
    let (other, _) = certificate(elsewhere.path());
    for (name, scheme, roots) in [
        ("other", "https", Some(Roots::pem(&other))),
        ("plain", "http", None),
    ] {
        let refused = Client::register(config(name, scheme, roots), &address("mallory")).await;
        assert!(
            matches!(refused, Err(RegisterError::Unavailable)),
            "{name}: {refused:?}"
        );
    }
    let nobody = Client::register(
        config("nobody", "https", Some(Roots::pem(""))),
        &address("mallory"),
    )
    .await;
    assert!(
        matches!(nobody, Err(RegisterError::Open(OpenError::Roots))),
        "{nobody:?}"
    );
    serving.abort();
}

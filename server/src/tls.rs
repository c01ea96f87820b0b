//! TLS (RFC 8446, RFC 5246) with rustls: a certificate from files, looked at again while the server
//! runs, so that a renewed one is served without a restart.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// Pause between two looks at the files: soon enough for whoever waits for it, and nothing to the disk.
const LOOK_PAUSE: Duration = Duration::from_secs(5);

/// Longest file read, in bytes: some hundred certificates. What is longer is another file.
const MAX_FILE_LEN: u64 = 1024 * 1024;

/// Plaintext that rustls holds for a connection that cannot be written to, in bytes: a frame or two of
/// HTTP/2 at a time. Its own default is four times that.
const WRITE_BUFFER_LEN: usize = 16 * 1024;

/// What HTTP versions are offered (RFC 7301): gRPC needs the first, gRPC-Web speaks both.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Tickets given with each handshake. They hold the session themselves: nothing is remembered here.
const TICKETS: usize = 1;

/// What is wrong with the certificate or its key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate file holds none.
    #[error("{} holds no certificate in PEM", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The key file holds none.
    #[error("{} holds no private key in PEM (PKCS#8, SEC 1 or PKCS#1)", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The two do not go together, or are of a kind that TLS here does not know.
    #[error("the certificate and its key cannot be used")]
    Unusable(#[from] rustls::Error),
}

/// The certificate as it is now, and the files it came from.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
    provider: Arc<CryptoProvider>,
}

/// What was read from the two files, unjudged.
struct Pem {
    certificate: Vec<u8>,
    key: zeroize::Zeroizing<Vec<u8>>,
}

/// Both files' contents, as far as telling whether they have changed goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint([u8; 32]);

impl Certificate {
    /// Reads and checks the files.
    pub(crate) async fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let pem = read(&files).await?;
        let current = RwLock::new(Arc::new(usable(&files, &pem, &provider)?));
        Ok(Arc::new(Self {
            files,
            current,
            provider,
        }))
    }

    /// What makes connections encrypted, with this certificate as it is at each handshake.
    pub(crate) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, TlsError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = ring::Ticketer::new()?;
        config.send_tls13_tickets = TICKETS;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Looks at the files again and again, and at SIGHUP, for as long as it is polled. Files that are no
    /// certificate and key, perhaps because one of them is yet to be written, leave the old ones in use.
    pub(crate) async fn keep_current(&self) {
        let mut hangups = Hangups::listen();
        let mut known = read(&self.files).await.ok().map(|pem| pem.fingerprint());
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_PAUSE) => {}
                () = hangups.next() => {}
            }
            self.look(&mut known).await;
        }
    }

    async fn look(&self, known: &mut Option<Fingerprint>) {
        let read = read(&self.files).await;
        let found = read.as_ref().ok().map(Pem::fingerprint);
        // What was found wanting once is said once.
        if found == *known {
            return;
        }
        *known = found;
        match read.and_then(|pem| usable(&self.files, &pem, &self.provider)) {
            Ok(certificate) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certificate);
                tracing::info!("another certificate is in use");
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "the certificate is not replaced");
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(current.clone())
    }
}

/// What every TLS session begins with: no more is buffered than a connection here may hold.
pub(crate) fn prepare(session: &mut rustls::ServerConnection) {
    session.set_buffer_limit(Some(WRITE_BUFFER_LEN));
}

/// Has everything in this process that asks for TLS without saying whose use ring's. Whoever embeds the
/// server and has chosen before keeps that choice.
pub(crate) fn install_provider() {
    let _ = ring::default_provider().install_default();
}

async fn read(files: &TlsFiles) -> Result<Pem, TlsError> {
    Ok(Pem {
        certificate: read_file(&files.certificate).await?,
        key: read_file(&files.key).await?.into(),
    })
}

async fn read_file(path: &PathBuf) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable {
        path: path.clone(),
        source,
    };
    if tokio::fs::metadata(path).await.map_err(unreadable)?.len() > MAX_FILE_LEN {
        return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
    }
    tokio::fs::read(path).await.map_err(unreadable)
}

fn usable(files: &TlsFiles, pem: &Pem, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_slice_iter(&pem.certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| TlsError::NoCertificate {
            path: files.certificate.clone(),
        })?;
    let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|_| TlsError::NoKey {
        path: files.key.clone(),
    })?;
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}

impl Pem {
    fn fingerprint(&self) -> Fingerprint {
        let certificate = Sha256::digest(&self.certificate);
        let key = Sha256::digest(&self.key);
        Fingerprint(
            Sha256::new()
                .chain_update(certificate)
                .chain_update(key)
                .finalize()
                .into(),
        )
    }
}

#[cfg(unix)]
struct Hangups(Option<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Hangups {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self(signal(SignalKind::hangup()).ok())
    }

    async fn next(&mut self) {
        // No more signals to come is as good as none.
        if let Some(signal) = &mut self.0
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

#[cfg(not(unix))]
struct Hangups;

#[cfg(not(unix))]
impl Hangups {
    fn listen() -> Self {
        Self
    }

    async fn next(&mut self) {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::time::Instant;

    fn write_certificate(folder: &Path) -> TlsFiles {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let files = TlsFiles {
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
        };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    fn served(certificate: &Certificate) -> Vec<u8> {
        certificate.current.read().unwrap().cert[0].to_vec()
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_hangup_has_the_files_looked_at_at_once() {
        // From here on the signal does not end this process.
        let _listening = Hangups::listen();
        let folder = tempfile::tempdir().unwrap();
        let certificate = Certificate::load(write_certificate(folder.path())).await.unwrap();
        let old = served(&certificate);
        let keeping = certificate.clone();
        let keeping = tokio::spawn(async move { keeping.keep_current().await });
        // Until it has looked for the first time.
        tokio::time::sleep(Duration::from_millis(300)).await;
        write_certificate(folder.path());
        let began = Instant::now();
        while served(&certificate) == old {
            assert!(began.elapsed() < LOOK_PAUSE / 2, "it was not the signal");
            let pid = std::process::id();
            let sent = std::process::Command::new("sh")
                .args(["-c", &format!("kill -HUP {pid}")])
                .status();
            assert!(sent.unwrap().success());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        keeping.abort();
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_not_used_and_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = write_certificate(folder.path());
        let certificate = Certificate::load(files.clone()).await.unwrap();
        let old = served(&certificate);
        let mut known = None;
        certificate.look(&mut known).await;
        for broken in [&b""[..], b"nonsense"] {
            std::fs::write(&files.key, broken).unwrap();
            certificate.look(&mut known).await;
            assert_eq!(served(&certificate), old);
        }
        std::fs::remove_file(&files.key).unwrap();
        certificate.look(&mut known).await;
        assert_eq!((served(&certificate), known), (old.clone(), None));
        write_certificate(folder.path());
        certificate.look(&mut known).await;
        assert_ne!(served(&certificate), old);
    }
}

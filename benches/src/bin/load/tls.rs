//! A certificate authority of one run, and what it signs.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// The files of the server's certificate, and the root that clients trust.
pub(crate) struct Certificates {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) root_pem: String,
}

impl Certificates {
    /// Makes a root and, signed by it, a certificate for `localhost`; writes what the server needs to
    /// `folder`.
    pub(crate) fn make(folder: &Path) -> Self {
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_key = KeyPair::generate().unwrap();
        let root_pem = root.self_signed(&root_key).unwrap().pem();
        let issuer = Issuer::new(root, root_key);
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer);
        let made = Self {
            chain: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            root_pem,
        };
        std::fs::write(&made.chain, leaf.unwrap().pem()).unwrap();
        std::fs::write(&made.key, key.serialize_pem()).unwrap();
        private(&made.key);
        made
    }
}

/// A server does not read a key that others can.
fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

//! The certificate: whether it can be used, for whom, and for how long.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{Finding, x509};
use crate::cli::out::causes;
use crate::config::{Config, TlsFiles};
use crate::tls::Certificate;

/// So long before its end somebody should see to it, where no program does.
const SOON: Duration = Duration::from_secs(14 * 86_400);

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let Some(files) = config.tls.clone() else {
        return Vec::new();
    };
    if let Err(error) = Certificate::load(files.clone()).await {
        return vec![Finding::wrong(
            "certificate",
            format!("{error}: {}", causes(&error)),
            "Both files in PEM, the key fitting the first certificate, readable for the server's user.",
        )];
    }
    vec![validity(&files)]
}

fn validity(files: &TlsFiles) -> Finding {
    let first = CertificateDer::pem_file_iter(&files.certificate)
        .ok()
        .and_then(|mut all| all.next()?.ok());
    let Some(said) = first.and_then(|certificate| x509::read(&certificate)) else {
        return Finding::doubtful(
            "certificate",
            "usable; for whom and until when could not be read",
            "",
        );
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = said.ends.saturating_sub(now);
    let (days, last_day) = (left.as_secs() / 86_400, said.last_day);
    let names = match said.names.as_slice() {
        [] => "for no name".to_owned(),
        names => format!("for {}", names.join(", ")),
    };
    if left.is_zero() {
        return Finding::wrong(
            "certificate",
            format!("{names}; it expired on {last_day}"),
            "Renew it; the running server takes the new one by itself.",
        );
    }
    if said.begins > now {
        return Finding::wrong(
            "certificate",
            format!("{names}; not valid before {}", said.first_day),
            "Is this machine's clock right? Until then everybody who connects refuses it.",
        );
    }
    if said.names.is_empty() {
        return Finding::wrong(
            "certificate",
            format!("{names}, until {last_day}: nobody who connects can tell that it is this server's"),
            "Have it made out for the host in the URL that apps are given (subjectAltName).",
        );
    }
    if left < SOON {
        return Finding::doubtful(
            "certificate",
            format!("{names}; it expires in {days} days, on {last_day}"),
            "Renew it; the running server takes the new one by itself.",
        );
    }
    Finding::fine(
        "certificate",
        format!("{names}; usable until {last_day}, {days} days"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    fn files(folder: &tempfile::TempDir, ends: (i32, u8, u8)) -> TlsFiles {
        files_between(folder, (2020, 1, 1), ends)
    }

    fn files_between(folder: &tempfile::TempDir, begins: (i32, u8, u8), ends: (i32, u8, u8)) -> TlsFiles {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(begins.0, begins.1, begins.2);
        params.not_after = rcgen::date_time_ymd(ends.0, ends.1, ends.2);
        let certificate = params.self_signed(&key).unwrap();
        let files = TlsFiles {
            certificate: folder.path().join("certificate.pem"),
            key: folder.path().join("key.pem"),
        };
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    #[tokio::test]
    async fn a_certificate_is_fine_until_it_ends() {
        for (ends, verdict) in [
            ((2021, 6, 1), Verdict::Wrong),
            ((2049, 12, 31), Verdict::Fine),
            ((2060, 2, 29), Verdict::Fine),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let config = Config {
                tls: Some(files(&folder, ends)),
                ..Config::default()
            };
            let found = look(&config).await;
            assert_eq!(found[0].verdict, verdict, "{found:?}");
            let told = &found[0].found;
            assert!(
                told.contains("for localhost") && told.contains(&format!("{}-", ends.0)),
                "{told}"
            );
        }
    }

    #[tokio::test]
    async fn a_certificate_is_wrong_before_it_begins_and_fine_long_after() {
        for (begins, verdict) in [((2059, 3, 1), Verdict::Wrong), ((1950, 1, 1), Verdict::Fine)] {
            let folder = tempfile::tempdir().unwrap();
            let config = Config {
                tls: Some(files_between(&folder, begins, (2060, 2, 29))),
                ..Config::default()
            };
            let found = look(&config).await;
            assert_eq!(found[0].verdict, verdict, "{found:?}");
            let is_said = found[0].found.contains("not valid before 2059-03-01");
            assert_eq!(is_said, verdict == Verdict::Wrong, "{found:?}");
        }
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_there_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(&folder, (2049, 1, 1));
        files.key = folder.path().join("no-such-key.pem");
        let config = Config {
            tls: Some(files),
            ..Config::default()
        };
        assert_eq!(look(&config).await[0].verdict, Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_key_that_is_not_the_certificates_is_said_to_be_that() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(&folder, (2049, 1, 1));
        std::fs::write(&files.key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let config = Config {
            tls: Some(files),
            ..Config::default()
        };
        let found = look(&config).await;
        assert_eq!(found[0].verdict, Verdict::Wrong);
        assert!(found[0].found.contains("key"), "{found:?}");
        assert!(found[0].found.to_lowercase().contains("mismatch"), "{found:?}");
    }
}

//! The certificate: whether it can be used, and for how long.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::Finding;
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
            error.to_string(),
            "Both files in PEM, the key fitting the first certificate, readable for the server's user.",
        )];
    }
    vec![validity(&files)]
}

fn validity(files: &TlsFiles) -> Finding {
    let first = CertificateDer::pem_file_iter(&files.certificate)
        .ok()
        .and_then(|mut all| all.next()?.ok());
    let Some(ends) = first.and_then(|certificate| not_after(&certificate)) else {
        return Finding::doubtful("certificate", "usable; until when could not be read", "");
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = ends.saturating_sub(now);
    let days = left.as_secs() / 86_400;
    if left.is_zero() {
        return Finding::wrong(
            "certificate",
            "it has expired",
            "Renew it; the running server takes the new one by itself.",
        );
    }
    if left < SOON {
        return Finding::doubtful(
            "certificate",
            format!("it expires in {days} days"),
            "Renew it; the running server takes the new one by itself.",
        );
    }
    Finding::fine("certificate", format!("usable for {days} days"))
}

/// When a certificate ends, Unix time (RFC 5280 section 4.1.2.5).
fn not_after(certificate: &[u8]) -> Option<Duration> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (_, certificate, _) = element(certificate)?;
    let (_, mut signed, _) = element(certificate)?;
    let (tag, _, after) = element(signed)?;
    if tag == VERSION {
        signed = after;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        signed = element(signed)?.2;
    }
    let (tag, validity, _) = element(signed)?;
    let (_, _, after_begin) = element(validity)?;
    let (kind, end, _) = element(after_begin)?;
    if tag != SEQUENCE {
        return None;
    }
    time(kind, std::str::from_utf8(end).ok()?)
}

/// The first element of some DER: its tag, what is in it, and what comes after (X.690 section 8.1).
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let len = digits
                .iter()
                .fold(0, |len, digit| (len << 8) | usize::from(*digit));
            (len, rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(len)?;
    Some((*tag, content, after))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, as certificates have them.
fn time(kind: u8, text: &str) -> Option<Duration> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let digits = text.strip_suffix('Z')?;
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year: u64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |n: usize| rest.get(2 * n..2 * n + 2)?.parse::<u64>().ok();
    let days = days_before(year, part(0)?, part(1)?)?;
    Some(Duration::from_secs(
        days * 86_400 + part(2)? * 3_600 + part(3)? * 60 + part(4)?,
    ))
}

/// Days from 1 January 1970 to a day of the Gregorian calendar.
fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let is_leap = (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let years = year.checked_sub(1970)? * 365 + leaps(year - 1) - leaps(1969);
    let month_at = usize::try_from(month.checked_sub(1)?).ok()?;
    let leap_day = u64::from(is_leap && month > 2);
    Some(years + BEFORE_MONTH.get(month_at)? + leap_day + day.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn a_time_is_read_as_certificates_have_it() {
        for (kind, text, expected) in [
            (0x17, "700101000000Z", 0),
            (0x17, "260228235959Z", 1_772_323_199),
            (0x18, "20000229120000Z", 951_825_600),
            (0x18, "21000301000000Z", 4_107_542_400),
        ] {
            assert_eq!(time(kind, text).unwrap().as_secs(), expected, "{text}");
        }
        for (kind, text) in [
            (0x17, ""),
            (0x17, "260228235959"),
            (0x18, "2026"),
            (0x05, "260228235959Z"),
            (0x17, "261328235959Z"),
        ] {
            assert_eq!(time(kind, text), None, "{text}");
        }
    }

    fn files(folder: &tempfile::TempDir, ends: (i32, u8, u8)) -> TlsFiles {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
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

    #[test]
    fn nonsense_has_no_end() {
        for der in [
            &b""[..],
            &[0x30],
            &[0x30, 0x85, 1, 1, 1, 1, 1],
            &[0x30, 0x02, 0x30, 0x00],
        ] {
            assert_eq!(not_after(der), None);
        }
    }
}

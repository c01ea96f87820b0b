//! What a certificate says of itself, as far as an operator wants to know: for whom it is, and until when
//! (RFC 5280). Whether it can be believed is for those who connect.

use std::net::IpAddr;
use std::time::Duration;

const SEQUENCE: u8 = 0x30;

/// What is read of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// When it begins, Unix time; 0 where that is before Unix time.
    pub(super) begins: Duration,
    /// That day.
    pub(super) first_day: String,
    /// When it ends, Unix time.
    pub(super) ends: Duration,
    /// That day, `2026-02-28`.
    pub(super) last_day: String,
    /// The host names and addresses it is for.
    pub(super) names: Vec<String>,
}

/// Reads a certificate in DER (RFC 5280 section 4.1). `None` when it is none.
pub(super) fn read(certificate: &[u8]) -> Option<Said> {
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
    let (tag, validity, after) = element(signed)?;
    let (kind_of_begin, begin, after_begin) = element(validity)?;
    let (kind, end, _) = element(after_begin)?;
    if tag != SEQUENCE {
        return None;
    }
    let (begins, first_day) = time(kind_of_begin, std::str::from_utf8(begin).ok()?).unwrap_or_default();
    let (ends, last_day) = time(kind, std::str::from_utf8(end).ok()?)?;
    Some(Said {
        begins,
        first_day,
        ends,
        last_day,
        names: names(after).unwrap_or_default(),
    })
}

/// The alternative names (section 4.2.1.6), from what comes after the validity.
fn names(rest: &[u8]) -> Option<Vec<String>> {
    const EXTENSIONS: u8 = 0xa3;
    const OCTETS: u8 = 0x04;
    // 2.5.29.17
    const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
    // Subject, its key, and unique identifiers that nobody uses any more.
    let extensions = elements(rest).find(|(tag, _)| *tag == EXTENSIONS)?.1;
    let (_, extensions, _) = element(extensions)?;
    for (_, extension) in elements(extensions) {
        let (_, id, _) = element(extension)?;
        if id != SUBJECT_ALT_NAME {
            continue;
        }
        let value = elements(extension).find(|(tag, _)| *tag == OCTETS)?.1;
        let (_, names, _) = element(value)?;
        return Some(
            elements(names)
                .filter_map(|(tag, name)| general_name(tag, name))
                .collect(),
        );
    }
    None
}

fn general_name(tag: u8, name: &[u8]) -> Option<String> {
    const DNS_NAME: u8 = 0x82;
    const IP_ADDRESS: u8 = 0x87;
    match tag {
        DNS_NAME => {
            let text = std::str::from_utf8(name).ok()?;
            // It is shown on a terminal.
            text.chars()
                .all(|c| c.is_ascii_graphic())
                .then(|| text.to_owned())
        }
        IP_ADDRESS => {
            let v4 = <[u8; 4]>::try_from(name).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(name).map(IpAddr::from);
            v4.or(v6).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// All elements of some DER, one after the other, up to the first that is none.
fn elements(mut der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, content, after) = element(der)?;
        der = after;
        Some((tag, content))
    })
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
fn time(kind: u8, text: &str) -> Option<(Duration, String)> {
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
    let (month, day) = (part(0)?, part(1)?);
    let days = days_before(year, month, day)?;
    let seconds = days * 86_400 + part(2)? * 3_600 + part(3)? * 60 + part(4)?;
    Some((
        Duration::from_secs(seconds),
        format!("{year}-{month:02}-{day:02}"),
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

    #[test]
    fn a_time_is_read_as_certificates_have_it() {
        for (kind, text, expected) in [
            (0x17, "700101000000Z", (0, "1970-01-01")),
            (0x17, "260228235959Z", (1_772_323_199, "2026-02-28")),
            (0x18, "20000229120000Z", (951_825_600, "2000-02-29")),
            (0x18, "21000301000000Z", (4_107_542_400, "2100-03-01")),
        ] {
            let (at, day) = time(kind, text).unwrap();
            assert_eq!((at.as_secs(), day.as_str()), expected, "{text}");
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

    #[test]
    fn a_certificate_says_for_whom_it_is_and_nothing_when_cut() {
        let names = ["chat.example", "*.chat.example", "192.0.2.7", "2001:db8::7"];
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(names.map(str::to_owned)).unwrap();
        params.not_after = rcgen::date_time_ymd(2049, 12, 31);
        let certificate = params.self_signed(&key).unwrap();
        let said = read(certificate.der()).unwrap();
        assert_eq!(said.names, names);
        assert_eq!(said.last_day, "2049-12-31");
        for len in 0..certificate.der().len() {
            // Never anything but what stands there, and never a panic.
            if let Some(part) = read(&certificate.der()[..len]) {
                assert_eq!(part.last_day, said.last_day);
            }
        }
    }

    #[test]
    fn nonsense_says_nothing() {
        for der in [
            &b""[..],
            &[0x30],
            &[0x30, 0x85, 1, 1, 1, 1, 1],
            &[0x30, 0x02, 0x30, 0x00],
        ] {
            assert_eq!(read(der), None);
        }
    }
}

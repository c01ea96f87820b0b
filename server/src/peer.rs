//! Who is at the other end of a connection, as far as limits and blocks need to know. Addresses of
//! peers are never logged.

use std::fmt;
use std::net::IpAddr;

use http::HeaderMap;

use crate::prefix::AddressPrefix;

/// The network address a call comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(IpAddr);

impl Peer {
    pub(crate) fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    pub(crate) fn address(self) -> IpAddr {
        self.0
    }

    /// Who is counted as one with it.
    pub(crate) fn together(self) -> AddressPrefix {
        AddressPrefix::counted_together(self.0)
    }

    /// Who has one share with it of what there is for all.
    pub(crate) fn pooled(self) -> AddressPrefix {
        AddressPrefix::pooled_together(self.0)
    }

    /// Whether it is this machine, or one of these proxies: then there may be many behind it.
    pub(crate) fn stands_for_many(self, proxies: &[AddressPrefix]) -> bool {
        self.0.is_loopback() || self.is_one_of(proxies)
    }

    /// Who asked the proxy, when the peer is one that is trusted: the last address in `x-forwarded-for`
    /// that is not such a proxy itself. Those before it are what a stranger wrote.
    pub(crate) fn behind(self, headers: &HeaderMap, proxies: &[AddressPrefix]) -> Self {
        let mut nearest = self;
        if !nearest.is_one_of(proxies) {
            return nearest;
        }
        let values = headers.get_all("x-forwarded-for").into_iter();
        // Each hop by itself: what a stranger wrote must not hide what a proxy wrote behind it.
        let hops: Vec<&[u8]> = values
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .collect();
        for hop in hops.iter().rev() {
            let Some(address) = str::from_utf8(hop).ok().and_then(|hop| hop.trim().parse().ok()) else {
                break;
            };
            nearest = Self::new(address);
            if !nearest.is_one_of(proxies) {
                break;
            }
        }
        nearest
    }

    fn is_one_of(self, prefixes: &[AddressPrefix]) -> bool {
        prefixes.iter().any(|prefix| prefix.contains(self.0))
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peer([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn peer(text: &str) -> Peer {
        Peer::new(text.parse().unwrap())
    }

    fn forwarded(from: &str, lines: &[&str]) -> Peer {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        forwarded_bytes(from, &lines)
    }

    fn forwarded_bytes(from: &str, lines: &[&[u8]]) -> Peer {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(line).unwrap());
        }
        let proxies = ["10.0.0.0/8".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        peer(from).behind(&headers, &proxies)
    }

    #[test]
    fn only_a_trusted_proxy_says_who_asked() {
        assert_eq!(forwarded("203.0.113.1", &["192.0.2.1"]), peer("203.0.113.1"));
        assert_eq!(forwarded("10.0.0.1", &["192.0.2.1"]), peer("192.0.2.1"));
        assert_eq!(forwarded("10.0.0.1", &[]), peer("10.0.0.1"));
    }

    #[test]
    fn what_a_stranger_wrote_before_the_last_untrusted_hop_does_not_count() {
        assert_eq!(
            forwarded("10.0.0.1", &["198.51.100.9, 192.0.2.1, 10.0.0.2"]),
            peer("192.0.2.1")
        );
        assert_eq!(
            forwarded("127.0.0.1", &["198.51.100.9", "2001:db8::1"]),
            peer("2001:db8::1")
        );
        assert_eq!(
            forwarded("10.0.0.1", &["198.51.100.9, nonsense, 10.0.0.2"]),
            peer("10.0.0.2"),
            "the last one known"
        );
    }

    #[test]
    fn what_is_no_text_hides_nobody() {
        for line in [&b"\xff, 192.0.2.1"[..], b"\xff,\x80,, 192.0.2.1, 10.0.0.2"] {
            assert_eq!(forwarded_bytes("10.0.0.1", &[line]), peer("192.0.2.1"));
        }
        let apart: [&[u8]; 2] = [b"\xff", b"192.0.2.1"];
        assert_eq!(forwarded_bytes("10.0.0.1", &apart), peer("192.0.2.1"));
        assert_eq!(
            forwarded_bytes("10.0.0.1", &[b"192.0.2.1, \xff"]),
            peer("10.0.0.1"),
            "the last one known"
        );
    }

    #[test]
    fn a_peer_is_not_printed() {
        assert!(!format!("{:?}", peer("192.0.2.1")).contains("192"));
    }
}

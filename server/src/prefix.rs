//! Network addresses by their prefix (RFC 4632, RFC 4291 section 2.3): what is blocked, trusted and
//! counted together.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where IPv4 addresses lie among IPv6 ones (RFC 4291 section 2.5.5.2), so that there is one kind.
const MAPPED: u128 = 0xffff_0000_0000;
const MAPPED_LEN: u8 = 96;

/// What a site is given of IPv6 at the least (RFC 6177): whoever has one address there has them all.
const SITE_LEN: u8 = 64;

/// What it is given at the most, short of being a network of its own (RFC 6177 section 2).
const CUSTOMER_LEN: u8 = 48;

/// All addresses that begin alike, written `192.0.2.0/24` or `2001:db8::/32`; an address alone is
/// itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressPrefix {
    bits: u128,
    len: u8,
}

/// What was given is not `ADDRESS/LENGTH` without bits beyond the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AddressPrefixError {
    /// It is neither an address nor an address and a length.
    #[error("not an address or a prefix, such as 192.0.2.0/24 or 2001:db8::/32")]
    Syntax,
    /// The address goes on behind the length.
    #[error("the address has bits beyond the length: did you mean {meant}?")]
    Beyond {
        /// Without these bits.
        meant: AddressPrefix,
    },
}

impl AddressPrefix {
    /// The first `len` bits of an address. `None` when it has fewer.
    #[must_use]
    pub fn new(address: IpAddr, len: u8) -> Option<Self> {
        let (len, most) = match address {
            IpAddr::V4(_) => (len.checked_add(MAPPED_LEN)?, 128),
            IpAddr::V6(_) => (len, 128),
        };
        (len <= most).then(|| Self::cut(bits(address), len))
    }

    /// Who is counted as one: an IPv4 address, or the site of an IPv6 one.
    pub(crate) fn counted_together(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::cut(bits(address.into()), 128),
            IpAddr::V6(address) => Self::cut(bits(address.into()), SITE_LEN),
        }
    }

    /// Who has one share of what there is for all: an IPv4 address, or the most of IPv6 that one customer is
    /// commonly given. Whoever has it could use each of its 65,536 sites.
    pub(crate) fn pooled_together(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::cut(bits(address.into()), 128),
            IpAddr::V6(address) => Self::cut(bits(address.into()), CUSTOMER_LEN),
        }
    }

    /// Whether an address begins so.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::cut(bits(address), self.len) == *self
    }

    /// How many bits of the 128 there are.
    pub(crate) fn len(&self) -> u8 {
        self.len
    }

    /// The prefix of that length, out of 128, that an address is in.
    pub(crate) fn of(address: IpAddr, len: u8) -> Self {
        Self::cut(bits(address), len)
    }

    fn cut(bits: u128, len: u8) -> Self {
        let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
        Self {
            bits: bits & mask,
            len,
        }
    }
}

impl FromStr for AddressPrefix {
    type Err = AddressPrefixError;

    fn from_str(text: &str) -> Result<Self, AddressPrefixError> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| AddressPrefixError::Syntax)?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let len = match len {
            Some(len) if len.bytes().all(|byte| byte.is_ascii_digit()) => {
                len.parse().map_err(|_| AddressPrefixError::Syntax)?
            }
            Some(_) => return Err(AddressPrefixError::Syntax),
            None => whole,
        };
        let prefix = Self::new(address, len).ok_or(AddressPrefixError::Syntax)?;
        // Bits beyond the length are more often a slip than meant to be nothing.
        if prefix.bits == bits(address) {
            Ok(prefix)
        } else {
            Err(AddressPrefixError::Beyond { meant: prefix })
        }
    }
}

impl fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from(self.bits);
        match (address.to_ipv4_mapped(), self.len.checked_sub(MAPPED_LEN)) {
            (Some(address), Some(len)) => write!(f, "{address}/{len}"),
            _ => write!(f, "{address}/{}", self.len),
        }
    }
}

impl fmt::Debug for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for AddressPrefix {
    type Error = AddressPrefixError;

    fn try_from(text: String) -> Result<Self, AddressPrefixError> {
        text.parse()
    }
}

impl From<AddressPrefix> for String {
    fn from(prefix: AddressPrefix) -> Self {
        prefix.to_string()
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => MAPPED | u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> AddressPrefix {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_is_written_as_it_is_read() {
        for text in [
            "192.0.2.0/24",
            "0.0.0.0/0",
            "2001:db8::/32",
            "::/0",
            "::1/128",
            "198.51.100.7/32",
        ] {
            assert_eq!(prefix(text).to_string(), text);
        }
        assert_eq!(prefix("198.51.100.7").to_string(), "198.51.100.7/32");
        assert_eq!(prefix("2001:db8::1").to_string(), "2001:db8::1/128");
    }

    #[test]
    fn what_is_no_prefix_is_not_read_as_one() {
        for text in [
            "",
            "/",
            "192.0.2.0/33",
            "192.0.2.0/+24",
            "192.0.2.0/",
            "2001:db8::/129",
            "example.org",
            "192.0.2/24",
            "192.0.2.0/24/24",
            " 192.0.2.0/24",
            "192.0.2.0/256",
        ] {
            let read = text.parse::<AddressPrefix>();
            assert_eq!(read, Err(AddressPrefixError::Syntax), "{text:?}");
        }
        for (text, meant) in [
            ("192.0.2.1/24", prefix("192.0.2.0/24")),
            ("2001:db8::1/64", prefix("2001:db8::/64")),
        ] {
            let read = text.parse::<AddressPrefix>();
            assert_eq!(read, Err(AddressPrefixError::Beyond { meant }), "{text:?}");
        }
    }

    #[test]
    fn a_prefix_holds_the_addresses_that_begin_so() {
        assert!(prefix("192.0.2.0/24").contains(address("192.0.2.255")));
        assert!(!prefix("192.0.2.0/24").contains(address("192.0.3.0")));
        assert!(prefix("0.0.0.0/0").contains(address("203.0.113.9")));
        assert!(!prefix("0.0.0.0/0").contains(address("2001:db8::1")));
        assert!(prefix("2001:db8::/32").contains(address("2001:db8:ffff::1")));
        assert!(prefix("::/0").contains(address("192.0.2.1")), "all there are");
        assert!(
            prefix("192.0.2.0/24").contains(address("::ffff:192.0.2.7")),
            "the same, mapped"
        );
    }

    #[test]
    fn a_site_is_counted_as_one_and_an_ipv4_address_alone() {
        let together =
            |a, b| AddressPrefix::counted_together(address(a)) == AddressPrefix::counted_together(address(b));
        assert!(together("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(!together("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(!together("192.0.2.1", "192.0.2.2"));
        assert!(together("192.0.2.1", "::ffff:192.0.2.1"));
    }

    #[test]
    fn all_sites_of_a_customer_share_what_there_is_for_all() {
        let together =
            |a, b| AddressPrefix::pooled_together(address(a)) == AddressPrefix::pooled_together(address(b));
        assert!(together("2001:db8:1:2::1", "2001:db8:1:ff00::9"));
        assert!(!together("2001:db8:1::1", "2001:db8:2::1"));
        assert!(!together("192.0.2.1", "192.0.2.2"));
        assert!(together("192.0.2.1", "::ffff:192.0.2.1"));
    }
}

//! Who is spoken of: accounts as `name@server`, devices as random ids.

use alloc::string::String;
use core::fmt;

/// Longest account name, in bytes. Longer ones help nobody read and everybody spoof.
pub const MAX_NAME_LEN: usize = 32;

/// Longest server name, in bytes, port included. Keeps a whole address within one length byte.
pub const MAX_SERVER_NAME_LEN: usize = 128;

/// An account's address, `name@server`, in its one canonical spelling.
///
/// Names are lower-case ASCII letters, digits, `.`, `_` and `-`, beginning and ending with a letter or
/// digit: no two addresses look alike, and none needs normalizing before it is compared or signed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    whole: String,
    name_len: usize,
}

impl Address {
    /// Reads `name@server`.
    ///
    /// # Errors
    /// [`AddressError`] when a part is empty, too long or holds a character it may not.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (name, server) = text.split_once('@').ok_or(AddressError::NotNameAtServer)?;
        if name.is_empty() || name.len() > MAX_NAME_LEN {
            return Err(AddressError::NameLength);
        }
        if !is_label(name, |c| matches!(c, b'.' | b'_' | b'-')) {
            return Err(AddressError::NameCharacters);
        }
        check_server(server)?;
        Ok(Self {
            whole: String::from(text),
            name_len: name.len(),
        })
    }

    /// The whole address, `name@server`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.whole
    }

    /// The part before the `@`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.whole.get(..self.name_len).unwrap_or_default()
    }

    /// The part after the `@`.
    #[must_use]
    pub fn server(&self) -> &str {
        self.whole.get(self.name_len + 1..).unwrap_or_default()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.whole)
    }
}

/// The name a server answers to: a lower-case host name, with `:port` where it is not the usual one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(String);

impl ServerName {
    /// Reads a server name.
    ///
    /// # Errors
    /// [`AddressError`] when it is empty, too long or holds a character it may not.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        check_server(text)?;
        Ok(Self(String::from(text)))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A device's id: 16 random bytes, so that it tells nothing of when or after whom it was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId([u8; 16]);

impl DeviceId {
    /// Takes 16 bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads an id from a slice.
    ///
    /// # Errors
    /// [`AddressError::DeviceIdLength`] unless it is 16 bytes long.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, AddressError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| AddressError::DeviceIdLength)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({self})")
    }
}

/// Why something is not an address, a server name or a device id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@` in it.
    #[error("an address is written name@server")]
    NotNameAtServer,
    /// The name is empty or longer than [`MAX_NAME_LEN`].
    #[error("a name has 1 to {MAX_NAME_LEN} characters")]
    NameLength,
    /// The name holds something else than lower-case letters, digits, `.`, `_`, `-`, or does not begin
    /// and end with a letter or digit.
    #[error("a name is made of a-z, 0-9, '.', '_' and '-', and begins and ends with a letter or digit")]
    NameCharacters,
    /// The server name is empty or longer than [`MAX_SERVER_NAME_LEN`].
    #[error("a server name has 1 to {MAX_SERVER_NAME_LEN} characters")]
    ServerLength,
    /// The server name is not a lower-case host name with an optional port.
    #[error("a server name is a lower-case host name, with :port where it is not the usual one")]
    ServerCharacters,
    /// A device id is not 16 bytes long.
    #[error("a device id has 16 bytes")]
    DeviceIdLength,
}

fn check_server(server: &str) -> Result<(), AddressError> {
    if server.is_empty() || server.len() > MAX_SERVER_NAME_LEN {
        return Err(AddressError::ServerLength);
    }
    let (host, port) = match server.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (server, None),
    };
    let host_ok = host.split('.').all(|label| is_label(label, |c| c == b'-'));
    // One spelling per port: no leading zero, no plus sign.
    let port_ok = port.is_none_or(|port| {
        !port.starts_with('0') && port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok()
    });
    if host_ok && port_ok {
        Ok(())
    } else {
        Err(AddressError::ServerCharacters)
    }
}

/// Lower-case letters and digits, with `inner` characters allowed anywhere but at the ends.
fn is_label(text: &str, inner: impl Fn(u8) -> bool) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends_plain = |c: Option<&u8>| c.copied().is_some_and(plain);
    let bytes = text.as_bytes();
    ends_plain(bytes.first()) && ends_plain(bytes.last()) && bytes.iter().all(|&c| plain(c) || inner(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn an_address_falls_into_its_two_parts() {
        let address = Address::parse("alice.b@chat.example:7443").unwrap();
        assert_eq!(
            (address.name(), address.server()),
            ("alice.b", "chat.example:7443")
        );
        assert_eq!(format!("{address}"), "alice.b@chat.example:7443");
    }

    #[test]
    fn addresses_with_a_second_spelling_are_refused() {
        for bad in [
            "",
            "@",
            "alice",
            "alice@",
            "@host",
            "Alice@host",
            "alice@Host",
            "al ice@host",
            "älice@host",
            "-alice@host",
            "alice-@host",
            "alice@host.",
            "alice@.host",
            "alice@ho..st",
            "alice@host:",
            "alice@host:0",
            "alice@host:080",
            "alice@host:+80",
            "alice@host:65536",
            "a@b@c",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@host",
            "alice@-host",
            "alice@host-",
            "alice@ho_st",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_server_name_prints_as_it_is_written() {
        let server = ServerName::parse("chat.example:7443").unwrap();
        assert_eq!(format!("{server}"), "chat.example:7443");
    }

    #[test]
    fn a_device_id_prints_as_hex() {
        assert_eq!(format!("{}", DeviceId::from_bytes([0xab; 16])), "ab".repeat(16));
        assert_eq!(DeviceId::from_slice(&[0; 15]), Err(AddressError::DeviceIdLength));
    }
}

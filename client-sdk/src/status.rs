//! How a client stands with its server.

use std::time::Duration;

/// How a client stands with its server.
///
/// This tells of the connection alone. An app that leaves events unacknowledged gets no further messages
/// at some point, however well connected it is: see [`Events`](crate::Events).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Not connected; trying to be.
    Offline,
    /// Connected; messages that were waiting are coming in.
    Online,
    /// Connected; everything that had been waiting has come in, and others can write to this device.
    CaughtUp,
    /// Connected, or trying to be, and asked to make fewer calls: goes on by itself after this time.
    RateLimited(Duration),
    /// Not signed in: signing in failed too often, by this device or by somebody in its place. Tried again
    /// after this time.
    Throttled(Duration),
    /// Not connected: another client uses this device's keys, which happens when a store is copied. Stays
    /// so until [`reconnect`](crate::Client::reconnect); two that came back by themselves would displace
    /// each other for ever.
    Displaced,
    /// Not connected: the operator has blocked the network address. Tried again now and then.
    Blocked,
    /// Not signed in: the operator has shut the device out. Tried again now and then.
    DeviceBlocked,
    /// Not signed in: the server knows no such device. It was revoked, or its account is deleted.
    Revoked,
    /// Stopped: closed, or its store failed. The store can be opened again.
    Stopped,
}

impl Status {
    /// Whether there is a connection.
    #[must_use]
    pub fn is_connected(self) -> bool {
        matches!(self, Self::Online | Self::CaughtUp)
    }
}

//! The rates an operator may set.

use serde::{Deserialize, Serialize};

/// A rate: so many at once, and then so many a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// At once, after a pause; at least 1.
    pub burst: u32,
    /// In the long run; at least 1.
    pub per_minute: u32,
}

impl Rate {
    /// `burst` at once, and then `per_minute`.
    #[must_use]
    pub const fn new(burst: u32, per_minute: u32) -> Self {
        Self { burst, per_minute }
    }

    pub(crate) fn times(self, scale: u32) -> Self {
        Self {
            burst: self.burst.saturating_mul(scale),
            per_minute: self.per_minute.saturating_mul(scale),
        }
    }
}

/// How often what may be done. A call beyond its rate is refused with `RATE_LIMITED`, and told when to
/// come again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// All rates times this. Default 1; more for load tests, and behind a proxy that hides who asks.
    pub scale: u32,
    /// Devices, addresses or accounts counted at one time, for each rate. Those beyond share one bucket
    /// until others have been quiet for a while: who comes new waits with the strangers (fails closed).
    /// Default 65,536, some 4 MiB for each of the rates if all were in use.
    pub max_keys: usize,
    /// New connections from one address, each a TLS handshake. Not counted for this machine itself and
    /// for trusted proxies. Default 500, then 1,200 a minute: as many as do nothing for the 10 seconds a
    /// handshake may take stay below the number of handshakes.
    pub connections_per_address: Rate,
    /// Calls from one address, of whatever kind, before anything else is asked about them. Default 5,000,
    /// then 500 a second: an office behind one address.
    pub calls_per_address: Rate,
    /// Registrations from one address. Default 60, then 60 an hour.
    pub registrations_per_address: Rate,
    /// Challenges, answers to them, refreshed tokens, manifests, and calls with a token that is not good,
    /// from one address. Default 600, then 10 a second.
    pub sign_ins_per_address: Rate,
    /// Sealed sends from one address. Default 600, then 20 a second.
    pub sealed_sends_per_address: Rate,
    /// Prekey fetches without a token from one address. Default 100, then 1 a second.
    pub prekey_fetches_per_address: Rate,
    /// Recovery blobs asked for from one address. Default 10, then 1 a minute.
    pub recovery_fetches_per_address: Rate,
    /// Sends of one device, each of a batch and of a stream counted. Default 1,000, then 50 a second.
    pub sends_per_device: Rate,
    /// Posts to channels, and changes of them, by one device. Default 200, then 10 a second.
    pub posts_per_device: Rate,
    /// Prekey fetches by one device. Default 100, then 1 a second.
    pub prekey_fetches_per_device: Rate,
    /// Calls about blobs by one device, each part of an upload one. Default 256, then 16 a second.
    pub uploads_per_device: Rate,
    /// Acknowledgements by one device, of up to 256 envelopes each. Default 2,000, then 200 a second.
    pub acknowledgements_per_device: Rate,
    /// All other calls of one device. Default 600, then 30 a second.
    pub calls_per_device: Rate,
    /// Sealed sends to one account by those who have its access key. Default 600, then 10 a second.
    pub sealed_sends_per_recipient: Rate,
    /// Prekey fetches for one account, by whomever: five times as many as one device may make. Default
    /// 500, then 5 a second.
    pub prekey_fetches_per_recipient: Rate,
    /// The recovery blob of one account, asked for with one token. Default 10, then 1 a minute.
    pub recovery_fetches_per_recipient: Rate,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            scale: 1,
            max_keys: 65_536,
            connections_per_address: Rate::new(500, 1_200),
            calls_per_address: Rate::new(5_000, 30_000),
            registrations_per_address: Rate::new(60, 1),
            sign_ins_per_address: Rate::new(600, 600),
            sealed_sends_per_address: Rate::new(600, 1_200),
            prekey_fetches_per_address: Rate::new(100, 60),
            recovery_fetches_per_address: Rate::new(10, 1),
            sends_per_device: Rate::new(1_000, 3_000),
            posts_per_device: Rate::new(200, 600),
            prekey_fetches_per_device: Rate::new(100, 60),
            uploads_per_device: Rate::new(256, 960),
            acknowledgements_per_device: Rate::new(2_000, 12_000),
            calls_per_device: Rate::new(600, 1_800),
            sealed_sends_per_recipient: Rate::new(600, 600),
            prekey_fetches_per_recipient: Rate::new(500, 300),
            recovery_fetches_per_recipient: Rate::new(10, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_table_has_every_rate_with_its_default() {
        let manual = include_str!("../../OPERATING.md");
        // By their names, so that none is forgotten.
        let rates = serde_json::to_value(RateLimits::default()).unwrap();
        for (name, rate) in rates.as_object().unwrap() {
            let row = match (rate.get("burst"), rate.get("per_minute")) {
                (Some(burst), Some(per_minute)) => {
                    format!("| `rates.{name}` | {burst}, {per_minute} | ")
                }
                _ => format!("| `rates.{name}` | {rate} | "),
            };
            assert!(manual.contains(&row), "{row}");
        }
    }
}

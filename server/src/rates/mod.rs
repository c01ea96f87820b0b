//! How often: every call has a bucket to draw from, by the device that makes it, by the network address
//! it comes from, or by the account it is about. What is drawn comes back at a steady rate (the generic
//! cell rate algorithm, ITU-T I.371).
//!
//! Buckets exist in this process only: each of several nodes counts for itself, and a restart forgets.

mod buckets;
mod kinds;
mod settings;

pub(crate) use kinds::{AccountRate, AddressRate, DeviceRate};
pub use settings::{Rate, RateLimits};

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sottovoce_proto::v1::ErrorReason;
use sottovoce_statements::{Address, DeviceId};

use crate::calls::Call;
use crate::peer::Peer;
use crate::prefix::AddressPrefix;
use crate::rates::buckets::Buckets;
use crate::refusal::Refusal;

/// All buckets of this process.
#[derive(Debug)]
pub(crate) struct Rates {
    devices: [Buckets<DeviceId>; DeviceRate::ALL.len()],
    addresses: [Buckets<AddressPrefix>; AddressRate::ALL.len()],
    accounts: [Buckets<AccountKey>; AccountRate::ALL.len()],
}

/// An account, or an account with a secret that was presented for it: the beginning of a SHA-256, so that
/// all keys are of one small size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct AccountKey([u8; 16]);

impl Rates {
    pub(crate) fn new(limits: &RateLimits) -> Self {
        Self {
            devices: DeviceRate::ALL.map(|kind| buckets(limits, kind.of(limits))),
            addresses: AddressRate::ALL.map(|kind| buckets(limits, kind.of(limits))),
            accounts: AccountRate::ALL.map(|kind| buckets(limits, kind.of(limits))),
        }
    }

    /// Draws what a call costs the device that makes it: 1, whatever the call.
    pub(crate) fn call_of_device(&self, call: &Call, device: DeviceId) -> Result<(), Refusal> {
        self.device(DeviceRate::of_call(call.path), device, 1)
    }

    /// Draws what a call without a token costs whoever makes it, beside what every call costs.
    pub(crate) fn call_of_stranger(&self, call: &Call, peer: Peer) -> Result<(), Refusal> {
        AddressRate::of_call(call.path).map_or(Ok(()), |kind| self.address(kind, peer))
    }

    /// Draws `cost` from a device's bucket: for what a request turns out to hold beyond its first.
    pub(crate) fn device(&self, kind: DeviceRate, device: DeviceId, cost: u32) -> Result<(), Refusal> {
        draw(self.devices.get(kind as usize), &device, cost)
    }

    /// Draws 1 from a device's bucket, or says how long to wait before it is tried again.
    pub(crate) fn wait_of_device(&self, kind: DeviceRate, device: DeviceId) -> Option<Duration> {
        let buckets = self.devices.get(kind as usize)?;
        buckets.draw(&device, NonZeroU32::MIN).err()
    }

    /// Draws from the bucket of a network address.
    pub(crate) fn address(&self, kind: AddressRate, peer: Peer) -> Result<(), Refusal> {
        draw(self.addresses.get(kind as usize), &peer.together(), 1)
    }

    /// Draws from the bucket of an account that a call is about, whoever makes it. With a secret that was
    /// `presented` for the account, the bucket is that of both: who does not know the secret has another,
    /// and takes nothing from those who do.
    pub(crate) fn recipient(
        &self,
        kind: AccountRate,
        account: &Address,
        presented: &[u8],
    ) -> Result<(), Refusal> {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(account.as_str().as_bytes())
            // No address has a zero in it.
            .chain_update([0])
            .chain_update(presented)
            .finalize()
            .into();
        let mut key = [0; 16];
        key.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        draw(self.accounts.get(kind as usize), &AccountKey(key), 1)
    }
}

fn buckets<K: Clone + Eq + Hash>(limits: &RateLimits, rate: Rate) -> Buckets<K> {
    Buckets::new(rate.times(limits.scale), limits.max_keys)
}

fn draw<K: Clone + Eq + Hash>(buckets: Option<&Buckets<K>>, key: &K, cost: u32) -> Result<(), Refusal> {
    let (Some(buckets), Some(cost)) = (buckets, NonZeroU32::new(cost)) else {
        return Ok(());
    };
    buckets
        .draw(key, cost)
        .map_err(|wait| Refusal::because(ErrorReason::RateLimited).retry_after(wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: DeviceId = DeviceId::from_bytes([1; 16]);
    const BOB: DeviceId = DeviceId::from_bytes([2; 16]);

    fn rates(rate: Rate) -> Rates {
        Rates::new(&RateLimits {
            sends_per_device: rate,
            sealed_sends_per_recipient: rate,
            registrations_per_address: rate,
            ..RateLimits::default()
        })
    }

    fn refused(wait: Duration) -> Result<(), Refusal> {
        Err(Refusal::because(ErrorReason::RateLimited).retry_after(wait))
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_draws_is_missing_to_nobody_else() {
        let rates = rates(Rate::new(2, 60));
        let send = Call::at("/sottovoce.v1.MailboxService/Send").unwrap();
        let count = Call::at("/sottovoce.v1.PrekeyService/CountPrekeys").unwrap();
        for _ in 0..2 {
            assert_eq!(rates.call_of_device(send, ALICE), Ok(()));
        }
        assert_eq!(rates.call_of_device(send, ALICE), refused(Duration::from_secs(1)));
        assert_eq!(rates.call_of_device(send, BOB), Ok(()));
        assert_eq!(rates.call_of_device(count, ALICE), Ok(()), "another kind of call");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(rates.call_of_device(send, ALICE), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_costs_as_much_as_what_is_in_it() {
        let rates = rates(Rate::new(10, 60));
        assert_eq!(rates.device(DeviceRate::Sends, ALICE, 0), Ok(()));
        assert_eq!(rates.device(DeviceRate::Sends, ALICE, 8), Ok(()));
        assert_eq!(
            rates.device(DeviceRate::Sends, ALICE, 4),
            refused(Duration::from_secs(2))
        );
        assert_eq!(rates.device(DeviceRate::Sends, ALICE, 2), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_and_an_address_have_buckets_of_their_own() {
        let rates = rates(Rate::new(1, 60));
        let (alice, bob) = ("alice@localhost", "bob@localhost");
        let sealed =
            |name, key: &[u8]| rates.recipient(AccountRate::SealedSends, &Address::parse(name).unwrap(), key);
        assert_eq!(sealed(alice, b"her key"), Ok(()));
        assert_eq!(sealed(alice, b"her key"), refused(Duration::from_secs(1)));
        assert_eq!(sealed(alice, b"a guess"), Ok(()), "who has not the key");
        assert_eq!(sealed(bob, b"her key"), Ok(()));
        let register = Call::at("/sottovoce.v1.AccountService/Register").unwrap();
        let from = |address: &str| rates.call_of_stranger(register, Peer::new(address.parse().unwrap()));
        assert_eq!(from("2001:db8:1:2::1"), Ok(()));
        assert_eq!(
            from("2001:db8:1:2::2"),
            refused(Duration::from_secs(1)),
            "the same site"
        );
        assert_eq!(from("192.0.2.1"), Ok(()));
        assert_eq!(from("192.0.2.2"), Ok(()));
    }
}

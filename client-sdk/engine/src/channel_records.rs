//! Channels as records: what is persisted of one, and how it is read again.

use std::collections::BTreeMap;

use sottovoce_crypto::statements::{
    Account, AccountKey, Address, ChannelId, DeviceId, IdentityKey, Roster, RosterHead, RosterInvitation,
};
use sottovoce_crypto::{Party, ReceivingSenderKey, RosterClaim, RosterClaims, SendingSenderKey};
use zeroize::Zeroizing;

use crate::channels::{Channel, KeyName, Stage};
use crate::records::{RecordError, hex, pack, text, u64_of, unpack};
use crate::turn::Turn;
use crate::wire;

impl Channel {
    /// Keeps the channel as it is now, but for its keys and posts.
    pub(crate) fn put(&self, turn: &mut Turn<'_>) {
        let (stage, state, inviter) = match &self.stage {
            Stage::Founding => (0, Vec::new(), None),
            Stage::Awaited => (1, Vec::new(), None),
            Stage::Joining(invitation, inviter) => (2, invitation.to_bytes(), Some(inviter)),
            Stage::Member(roster) => (3, roster.to_bytes(), None),
            Stage::Gone => (4, Vec::new(), None),
        };
        let inviter = inviter.map(|inviter| {
            pack(&[
                inviter.address.as_str().as_bytes(),
                inviter.account_key.as_bytes(),
            ])
        });
        let pending = self.pending.as_ref().map(wire::signed_to_bytes);
        let claims: Vec<_> = self.claims.iter().map(claim_to_bytes).collect();
        let claims: Vec<&[u8]> = claims.iter().map(|claim| claim.as_slice()).collect();
        let waiting: Vec<_> = self
            .waiting_keys
            .iter()
            .map(|(address, id, key)| pack(&[address.as_str().as_bytes(), id.as_bytes(), key]))
            .collect();
        let waiting: Vec<&[u8]> = waiting.iter().map(|key| key.as_slice()).collect();
        let record = pack(&[
            self.id.as_bytes(),
            &[stage],
            &state,
            inviter.as_ref().map_or(&[], |inviter| inviter.as_slice()),
            &pending.unwrap_or_default(),
            &pack(&claims),
            &pack(&waiting),
        ]);
        turn.put(format!("channel/{}", self.id), record);
    }

    /// Keeps the sending key and who has it.
    pub(crate) fn put_sending(&self, turn: &mut Turn<'_>) {
        let key = format!("sender-key/{}", self.id);
        match &self.sending {
            Some(sending) => {
                let given: Vec<_> = self
                    .given
                    .iter()
                    .map(|(address, id)| pack(&[address.as_str().as_bytes(), id.as_bytes()]))
                    .collect();
                let given: Vec<&[u8]> = given.iter().map(|device| device.as_slice()).collect();
                turn.put(key, pack(&[&sending.to_bytes(), &pack(&given)]));
            }
            None => turn.delete(key),
        }
    }

    pub(crate) fn from_record(
        bytes: &[u8],
        records: &BTreeMap<String, Zeroizing<Vec<u8>>>,
    ) -> Result<Self, RecordError> {
        let fields = unpack(bytes)?;
        let [id, [stage], state, inviter, pending, claims, waiting] = fields.as_slice() else {
            return Err(RecordError);
        };
        let id = ChannelId::from_bytes((*id).try_into().map_err(|_| RecordError)?);
        let stage = match stage {
            0 => Stage::Founding,
            1 => Stage::Awaited,
            2 => Stage::Joining(
                RosterInvitation::from_bytes(state).map_err(|_| RecordError)?,
                account_from_bytes(inviter)?,
            ),
            3 => Stage::Member(Roster::from_bytes(state).map_err(|_| RecordError)?),
            4 => Stage::Gone,
            _ => return Err(RecordError),
        };
        let mut channel = Self::new(id, stage);
        if !pending.is_empty() {
            channel.pending = Some(wire::signed_from_bytes(pending).map_err(|_| RecordError)?);
        }
        let claims = unpack(claims)?;
        let claims = claims.iter().map(|claim| claim_from_bytes(claim));
        channel.claims = claims.collect::<Result<RosterClaims, _>>()?;
        for waiting in unpack(waiting)? {
            let fields = unpack(waiting)?;
            let [address, device_id, key] = fields.as_slice() else {
                return Err(RecordError);
            };
            let key = Zeroizing::new(key.to_vec());
            channel
                .waiting_keys
                .push((address_of(address)?, device_of(device_id)?, key));
        }
        if let Some(sending) = records.get(&format!("sender-key/{id}")) {
            channel.load_sending(sending)?;
        }
        channel.load_receiving(records)?;
        Ok(channel)
    }

    fn load_sending(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        let fields = unpack(bytes)?;
        let [sending, given] = fields.as_slice() else {
            return Err(RecordError);
        };
        self.sending = Some(SendingSenderKey::from_bytes(sending).map_err(|_| RecordError)?);
        for device in unpack(given)? {
            let fields = unpack(device)?;
            let [address, device_id] = fields.as_slice() else {
                return Err(RecordError);
            };
            self.given.insert((address_of(address)?, device_of(device_id)?));
        }
        Ok(())
    }

    fn load_receiving(&mut self, records: &BTreeMap<String, Zeroizing<Vec<u8>>>) -> Result<(), RecordError> {
        let prefix = format!("member-key/{}/", self.id);
        let of_channel = records.range(prefix.clone()..);
        for (name, record) in of_channel.take_while(|(name, _)| name.starts_with(&prefix)) {
            let rest = name.strip_prefix(&prefix).ok_or(RecordError)?;
            let skipped_prefix = format!("member-key-skipped/{}/{rest}/", self.id);
            let skipped = records
                .range(skipped_prefix.clone()..)
                .take_while(|(name, _)| name.starts_with(&skipped_prefix))
                .map(|(_, record)| match unpack(record)?.as_slice() {
                    [message] => Ok(message.to_vec()),
                    _ => Err(RecordError),
                })
                .collect::<Result<Vec<_>, _>>()?;
            let fields = unpack(record)?;
            let [key] = fields.as_slice() else {
                return Err(RecordError);
            };
            let key = ReceivingSenderKey::from_bytes(key, skipped).map_err(|_| RecordError)?;
            let mut parts = rest.split('/');
            let (Some(address), Some(device_id)) = (parts.next(), parts.next()) else {
                return Err(RecordError);
            };
            let device_id = device_from_hex(device_id)?;
            let address = address_of(address.as_bytes())?;
            self.receiving.insert((address, device_id, key.id()), key);
        }
        Ok(())
    }

    pub(crate) fn key_record(&self, (address, device_id, key): &KeyName) -> String {
        let (device_id, key) = (hex(device_id.as_bytes()), hex(key.as_bytes()));
        format!("member-key/{}/{address}/{device_id}/{key}", self.id)
    }

    pub(crate) fn skipped_record(&self, (address, device_id, key): &KeyName, skipped: &[u8]) -> String {
        let (device_id, key) = (hex(device_id.as_bytes()), hex(key.as_bytes()));
        format!(
            "member-key-skipped/{}/{address}/{device_id}/{key}/{}",
            self.id,
            hex(skipped)
        )
    }
}

fn claim_to_bytes(claim: &RosterClaim) -> Zeroizing<Vec<u8>> {
    let claimant = &claim.claimant;
    pack(&[
        claimant.address.as_str().as_bytes(),
        claimant.device_id.as_bytes(),
        claimant.account_key.as_bytes(),
        claimant.identity_key.as_bytes(),
        &claim.head.height.to_be_bytes(),
        &claim.head.hash,
    ])
}

fn claim_from_bytes(bytes: &[u8]) -> Result<RosterClaim, RecordError> {
    let fields = unpack(bytes)?;
    let [address, device_id, account_key, identity_key, height, hash] = fields.as_slice() else {
        return Err(RecordError);
    };
    Ok(RosterClaim {
        claimant: Party {
            address: address_of(address)?,
            device_id: device_of(device_id)?,
            account_key: AccountKey::from_slice(account_key).map_err(|_| RecordError)?,
            identity_key: IdentityKey::from_slice(identity_key).map_err(|_| RecordError)?,
        },
        head: RosterHead {
            height: u64_of(height)?,
            hash: (*hash).try_into().map_err(|_| RecordError)?,
        },
    })
}

fn account_from_bytes(bytes: &[u8]) -> Result<Account, RecordError> {
    let fields = unpack(bytes)?;
    let [address, account_key] = fields.as_slice() else {
        return Err(RecordError);
    };
    Ok(Account {
        address: address_of(address)?,
        account_key: AccountKey::from_slice(account_key).map_err(|_| RecordError)?,
    })
}

fn address_of(bytes: &[u8]) -> Result<Address, RecordError> {
    Address::parse(&text(bytes)?).map_err(|_| RecordError)
}

fn device_of(bytes: &[u8]) -> Result<DeviceId, RecordError> {
    DeviceId::from_slice(bytes).map_err(|_| RecordError)
}

fn device_from_hex(hex: &str) -> Result<DeviceId, RecordError> {
    let number = u128::from_str_radix(hex, 16).map_err(|_| RecordError)?;
    Ok(DeviceId::from_bytes(number.to_be_bytes()))
}

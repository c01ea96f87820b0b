//! Accounts with their devices and every manifest they had, for a channel.

use serde_json::{Value, json};
use sottovoce_crypto::statements::{
    Account, Address, DeviceId, DeviceManifest, EntrySigner, ManifestDevice, Verified,
};
use sottovoce_crypto::{AccountKeyPair, IdentityKeyPair};

use super::draws::Draws;
use super::json::{array, bytes, hex, text};
use super::people::{signed, signed_json};

pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) account_pair: AccountKeyPair,
    pub(crate) devices: Vec<IdentityKeyPair>,
    pub(crate) manifests: Vec<Verified<DeviceManifest>>,
}

impl Person {
    pub(crate) fn new(draws: &mut Draws, name: &str) -> Self {
        let mut person = Self {
            name: name.to_owned(),
            account_pair: AccountKeyPair::generate(draws),
            devices: vec![IdentityKeyPair::generate(draws)],
            manifests: Vec::new(),
        };
        person.publish(1);
        person
    }

    pub(crate) fn add_device(&mut self, draws: &mut Draws) {
        self.devices.push(IdentityKeyPair::generate(draws));
        self.publish(2);
    }

    pub(crate) fn revoke_second_device(&mut self) {
        self.publish(1);
    }

    /// A new manifest, with the first of the devices.
    fn publish(&mut self, devices: usize) {
        let manifest = DeviceManifest {
            address: self.account().address,
            version: self.manifests.len() as u64 + 1,
            previous: self.manifests.last().map_or([0; 32], Verified::hash),
            devices: (0..devices)
                .map(|device| ManifestDevice {
                    device_id: device_id(device),
                    identity_key: self.devices[device].public(),
                })
                .collect(),
        };
        let signed = self.account_pair.sign_manifest(manifest).unwrap();
        self.manifests
            .push(signed.verify(&self.account_pair.public()).unwrap());
    }

    pub(crate) fn account(&self) -> Account {
        Account {
            address: Address::parse(&format!("{}@chat.example", self.name)).unwrap(),
            account_key: self.account_pair.public(),
        }
    }

    pub(crate) fn newest(&self) -> &Verified<DeviceManifest> {
        self.manifests.last().unwrap()
    }

    /// A device under a version of the manifest that lists it.
    pub(crate) fn signer(&self, device: usize, version: u64) -> EntrySigner {
        let manifest = &self.manifests[usize::try_from(version).unwrap() - 1];
        EntrySigner::on_manifest(manifest, device_id(device)).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        let devices: Vec<_> = self
            .devices
            .iter()
            .enumerate()
            .map(|(device, pair)| {
                json!({
                    "device id": hex(device_id(device).as_bytes()),
                    "identity secret": hex(*pair.to_secret_bytes()),
                    "identity key": hex(pair.public().as_bytes()),
                })
            })
            .collect();
        let manifests: Vec<_> = self
            .manifests
            .iter()
            .map(|manifest| {
                let mut json = signed_json(manifest.signed());
                json["SHA-256"] = hex(manifest.hash());
                json
            })
            .collect();
        json!({
            "address": self.account().address.as_str(),
            "account secret": hex(*self.account_pair.to_secret_bytes()),
            "account key": hex(self.account_pair.public().as_bytes()),
            "devices": devices,
            "manifests": manifests,
        })
    }
}

/// The account of somebody in the file.
pub(crate) fn account(file: &Value, name: &str) -> Account {
    let person = &file["people"][name];
    Account {
        address: Address::parse(text(&person["address"])).unwrap(),
        account_key: sottovoce_crypto::statements::AccountKey::from_slice(&bytes(&person["account key"]))
            .unwrap(),
    }
}

/// A version of somebody's manifest, verified.
pub(crate) fn manifest(file: &Value, name: &str, version: u64) -> Verified<DeviceManifest> {
    let person = &file["people"][name];
    let manifest = &person["manifests"][usize::try_from(version).unwrap() - 1];
    let verified = signed::<DeviceManifest>(manifest)
        .verify(&account(file, name).account_key)
        .unwrap();
    assert_eq!(verified.hash(), array::<32>(&manifest["SHA-256"]));
    verified
}

fn device_id(device: usize) -> DeviceId {
    DeviceId::from_bytes([u8::try_from(device).unwrap() + 1; 16])
}

//! A model of the server's promises, as far as an engine can see them, with doors for dishonesty.

use std::collections::{BTreeMap, VecDeque};

use super::model_channels::ModelChannels;
use sha2::Digest as _;
use sottovoce_crypto::statements::{
    AccessKeyHash, DeviceBinding, DeviceId, DeviceManifest, KemPrekey, Signed,
};
use sottovoce_engine::{Call, PrekeysLeft, Refusal, Reply, Route};
use sottovoce_proto::v1::{self, ErrorReason};

#[derive(Default)]
pub(crate) struct ModelServer {
    pub(crate) accounts: BTreeMap<String, v1::GetAccountResponse>,
    pub(crate) devices: BTreeMap<DeviceId, Device>,
    receipts: BTreeMap<(DeviceId, Vec<u8>), (v1::SendRequest, v1::SendResponse)>,
    next_id: u64,
    /// Every request to send that was taken, sealed ones too.
    pub(crate) taken: Vec<v1::SendRequest>,
    /// Hashes of access keys, by account.
    pub(crate) access_keys: BTreeMap<String, AccessKeyHash>,
    /// How many sealed sends were taken.
    pub(crate) sealed: usize,
    /// The next sealed send is refused for this.
    pub(crate) refuse_next: Option<ErrorReason>,
    pub(crate) channels: ModelChannels,
    /// The newest post, as it was handed out.
    pub(crate) last_post: Option<v1::Envelope>,
    /// Grants left, by the device they are for.
    pub(crate) grants: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How many batches were taken.
    pub(crate) batches: usize,
    /// Every batch is refused for this.
    pub(crate) refuse_batches: Option<ErrorReason>,
    /// What waits for its time: of whom, under which id, for whom, and when.
    pub(crate) scheduled: Vec<(DeviceId, Vec<u8>, DeviceId, v1::Envelope, u64)>,
    sealed_receipts: BTreeMap<(Vec<u8>, Vec<u8>), (v1::SendSealedRequest, v1::SendResponse)>,
}

#[derive(Default)]
pub(crate) struct Device {
    pub(crate) address: String,
    pub(crate) signed_prekey: Option<v1::SignedStatement>,
    pub(crate) one_time: VecDeque<v1::OneTimePrekey>,
    highest_one_time: u32,
    pub(crate) last_resort_kem: Option<v1::SignedStatement>,
    pub(crate) one_time_kem: VecDeque<v1::SignedStatement>,
    highest_one_time_kem: u32,
    pub(crate) mailbox: Vec<v1::Envelope>,
    /// How much of the mailbox the running stream has delivered.
    delivered: usize,
}

impl ModelServer {
    pub(crate) fn register(&mut self, request: &v1::RegisterRequest) {
        let signed = request.manifest.clone().expect("a registration has a manifest");
        let manifest = Signed::<DeviceManifest>::from_parts(&signed.statement, &signed.signature)
            .expect("a well-formed manifest");
        let address = manifest.claimed().address.to_string();
        for device in &manifest.claimed().devices {
            let device_id = device.device_id;
            self.devices
                .entry(device_id)
                .or_default()
                .address
                .clone_from(&address);
        }
        let account = v1::GetAccountResponse {
            account_key: request.account_key.clone(),
            manifest: Some(signed),
            bindings: request.bindings.clone(),
        };
        self.accounts.insert(address, account);
    }

    pub(crate) fn stream_begins(&mut self, device_id: DeviceId) {
        if let Some(device) = self.devices.get_mut(&device_id) {
            device.delivered = 0;
        }
    }

    /// Delivers what has waited for its time.
    pub(crate) fn release(&mut self, now: u64) {
        let all = std::mem::take(&mut self.scheduled);
        let (due, waiting) = all.into_iter().partition(|(.., due)| *due <= now);
        self.scheduled = waiting;
        for (_, _, device_id, envelope, _) in due {
            self.inject(device_id, envelope);
        }
    }

    pub(crate) fn next_envelope(&mut self, device_id: DeviceId) -> Option<v1::Envelope> {
        let device = self.devices.get_mut(&device_id)?;
        let envelope = device.mailbox.get(device.delivered)?.clone();
        device.delivered += 1;
        Some(envelope)
    }

    /// Puts something into a mailbox as if it had been sent.
    pub(crate) fn inject(&mut self, device_id: DeviceId, mut envelope: v1::Envelope) {
        envelope.envelope_id = self.id();
        self.devices
            .get_mut(&device_id)
            .expect("a known device")
            .mailbox
            .push(envelope);
    }

    pub(crate) fn mailbox(&mut self, device_id: DeviceId) -> &mut Vec<v1::Envelope> {
        &mut self.devices.get_mut(&device_id).expect("a known device").mailbox
    }

    pub(crate) fn call(&mut self, caller: DeviceId, now: u64, call: Call) -> Result<Reply, Refusal> {
        let presented = match &call {
            Call::GetAccount(request) => Some((&request.address, &request.access_key)),
            Call::FetchPrekeyBundles(request) => Some((&request.address, &request.access_key)),
            Call::SendSealed(request) => Some((&request.recipient, &request.access_key)),
            _ => None,
        };
        if call.route() == Route::Anonymous
            && !presented.is_some_and(|(address, key)| self.admits(address, key))
        {
            return Err(Refusal::Because(ErrorReason::AccessDenied));
        }
        match call {
            Call::SetAccessKey(request) => {
                let hash = AccessKeyHash::from_slice(&request.access_key_hash).expect("a hash");
                let address = self.devices.get(&caller).expect("a known device").address.clone();
                self.access_keys.insert(address, hash);
                Ok(Reply::AccessKeySet)
            }
            Call::CreateChannel(request) => self.channels.create(&request),
            Call::AppendRosterEntry(request) => self.channels.append(&request),
            Call::GetRosterEntries(request) => {
                let address = self.devices[&caller].address.clone();
                self.channels.entries(&address, &request)
            }
            Call::ListChannels(_) => Ok(self.channels.list(&self.devices[&caller].address)),
            Call::Post(request) => self.post(caller, now, request),
            Call::UpdateManifest(request) => self.update_manifest(&request),
            Call::PutLinkingGrant(request) => {
                self.grants.insert(request.device_id, request.grant);
                Ok(Reply::GrantLeft)
            }
            Call::SendSealed(request) => self.send_sealed(now, request),
            Call::GetAccount(request) => self
                .accounts
                .get(&request.address)
                .cloned()
                .map(Reply::Account)
                .ok_or(Refusal::Because(ErrorReason::AccountUnknown)),
            Call::PublishPrekeys(request) => Ok(Reply::PrekeysLeft(self.publish(caller, request))),
            Call::CountPrekeys(_) => {
                let device = self.devices.get(&caller).expect("a known device");
                Ok(Reply::PrekeysLeft(device.prekeys_left()))
            }
            Call::FetchPrekeyBundles(request) => self.bundles(&request),
            Call::Send(request) => self.send(caller, now, request),
            Call::SendBatch(request) => {
                if let Some(reason) = self.refuse_batches {
                    return Err(Refusal::Because(reason));
                }
                self.batches += 1;
                let results = request.sends.into_iter().map(|send| {
                    let client_message_id = send.client_message_id.clone();
                    let outcome = match self.send(caller, now, send) {
                        Ok(Reply::Sent(receipt)) => v1::send_result::Outcome::Taken(receipt),
                        Err(Refusal::Because(reason)) => v1::send_result::Outcome::Refused(v1::Refused {
                            reason: reason.into(),
                            ..Default::default()
                        }),
                        other => panic!("no answer to a send: {other:?}"),
                    };
                    v1::SendResult {
                        client_message_id,
                        outcome: Some(outcome),
                    }
                });
                let results = results.collect();
                Ok(Reply::SentBatch(v1::SendBatchResponse { results }))
            }
            Call::CancelScheduled(request) => {
                let before = self.scheduled.len();
                self.scheduled
                    .retain(|(of, id, ..)| *of != caller || *id != request.client_message_id);
                Ok(Reply::Cancelled(self.scheduled.len() < before))
            }
            Call::Acknowledge(request) => {
                let device = self.devices.get_mut(&caller).expect("a known device");
                for id in request.envelope_ids {
                    if let Some(position) = device.mailbox.iter().position(|entry| entry.envelope_id == id) {
                        device.mailbox.remove(position);
                        device.delivered = device
                            .delivered
                            .saturating_sub(usize::from(position < device.delivered));
                    }
                }
                Ok(Reply::Acknowledged)
            }
        }
    }

    fn publish(&mut self, caller: DeviceId, request: v1::PublishPrekeysRequest) -> PrekeysLeft {
        let device = self.devices.get_mut(&caller).expect("a known device");
        if request.signed_prekey.is_some() {
            device.signed_prekey = request.signed_prekey;
        }
        for prekey in request.one_time_prekeys {
            if prekey.id > device.highest_one_time {
                device.highest_one_time = prekey.id;
                device.one_time.push_back(prekey);
            }
        }
        if request.last_resort_kem_prekey.is_some() {
            device.last_resort_kem = request.last_resort_kem_prekey;
        }
        for prekey in request.one_time_kem_prekeys {
            let id = kem_prekey_id(&prekey);
            if id > device.highest_one_time_kem {
                device.highest_one_time_kem = id;
                device.one_time_kem.push_back(prekey);
            }
        }
        device.prekeys_left()
    }

    fn bundles(&mut self, request: &v1::FetchPrekeyBundlesRequest) -> Result<Reply, Refusal> {
        let mut bundles = Vec::new();
        for id in &request.device_ids {
            let device = DeviceId::from_slice(id)
                .ok()
                .and_then(|id| self.devices.get_mut(&id))
                .ok_or(Refusal::Because(ErrorReason::DeviceUnknown))?;
            bundles.push(v1::PrekeyBundle {
                device_id: id.clone(),
                signed_prekey: Some(
                    device
                        .signed_prekey
                        .clone()
                        .ok_or(Refusal::Because(ErrorReason::PrekeysMissing))?,
                ),
                one_time_prekey: device.one_time.pop_front(),
                kem_prekey: device
                    .one_time_kem
                    .pop_front()
                    .or_else(|| device.last_resort_kem.clone()),
            });
        }
        Ok(Reply::Bundles(v1::FetchPrekeyBundlesResponse { bundles }))
    }

    /// Takes up the manifest that follows the newest, perhaps by others that were skipped, when its devices
    /// have all signed back.
    pub(crate) fn update_manifest(&mut self, request: &v1::UpdateManifestRequest) -> Result<Reply, Refusal> {
        let conflict = Err(Refusal::Because(ErrorReason::ManifestConflict));
        let signed = request.manifest.clone().expect("a manifest");
        let manifest = manifest_in(&signed);
        let address = manifest.address.to_string();
        let account = self.accounts.get_mut(&address).expect("an account");
        let newest = account.manifest.as_ref().expect("one").clone();
        if newest == signed {
            return Ok(Reply::ManifestTaken);
        }
        let had = request.skipped.iter().position(|skipped| *skipped == newest);
        let between = &request.skipped[had.map_or(0, |had| had + 1)..];
        let mut last = newest;
        for next in between.iter().chain([&signed]) {
            let (before, next) = (manifest_in(&last), (manifest_in(next), next));
            let hash = <[u8; 32]>::from(sha2::Sha256::digest(&last.statement));
            if next.0.version != before.version + 1 || next.0.previous != hash {
                return conflict;
            }
            last = next.1.clone();
        }
        let known = account.bindings.iter().chain(&request.bindings);
        let bindings: Vec<_> = manifest
            .devices
            .iter()
            .filter_map(|device| {
                known
                    .clone()
                    .find(|binding| binding_in(binding).device_id == device.device_id)
            })
            .cloned()
            .collect();
        if bindings.len() != manifest.devices.len() {
            return conflict;
        }
        account.bindings = bindings;
        account.manifest = Some(signed);
        let named = |id: &DeviceId| manifest.identity_key(*id).is_some();
        self.devices
            .retain(|id, device| device.address != address || named(id));
        for device in &manifest.devices {
            self.devices
                .entry(device.device_id)
                .or_default()
                .address
                .clone_from(&address);
        }
        Ok(Reply::ManifestTaken)
    }

    /// One ciphertext for every device of every member but the calling one.
    fn post(&mut self, caller: DeviceId, now: u64, request: v1::PostRequest) -> Result<Reply, Refusal> {
        let sender = self.devices[&caller].address.clone();
        let name = (caller, request.client_message_id.clone());
        if !self.channels.posted.contains(&name) {
            let members = self.channels.post(&sender, &request)?;
            let devices = self.devices.iter();
            let to: Vec<DeviceId> = devices
                .filter(|(id, device)| **id != caller && members.contains(&device.address))
                .map(|(id, _)| *id)
                .collect();
            for device_id in to {
                let envelope = v1::Envelope {
                    sender: sender.clone(),
                    sender_device_id: caller.as_bytes().to_vec(),
                    ciphertext: request.ciphertext.clone(),
                    received_at_ms: now,
                    channel_id: request.channel_id.clone(),
                    ..Default::default()
                };
                self.last_post = Some(envelope.clone());
                self.inject(device_id, envelope);
            }
            self.channels.posted.insert(name);
        }
        Ok(Reply::Posted)
    }

    fn admits(&self, address: &str, key: &[u8]) -> bool {
        self.access_keys.get(address).is_some_and(|hash| hash.admits(key))
    }

    fn send_sealed(&mut self, now: u64, request: v1::SendSealedRequest) -> Result<Reply, Refusal> {
        if let Some(reason) = self.refuse_next.take() {
            return Err(Refusal::Because(reason));
        }
        let name = (request.access_key.clone(), request.client_message_id.clone());
        if let Some((before, receipt)) = self.sealed_receipts.get(&name) {
            return if *before == request {
                Ok(Reply::Sent(receipt.clone()))
            } else {
                Err(Refusal::Because(ErrorReason::MessageIdConflict))
            };
        }
        let open = v1::SendRequest {
            recipient: request.recipient.clone(),
            client_message_id: request.client_message_id.clone(),
            messages: request.messages.clone(),
            ..Default::default()
        };
        let receipt = self.deposit(None, now, &open)?;
        self.sealed += 1;
        self.sealed_receipts.insert(name, (request, receipt.clone()));
        Ok(Reply::Sent(receipt))
    }

    fn send(&mut self, caller: DeviceId, now: u64, request: v1::SendRequest) -> Result<Reply, Refusal> {
        let name = (caller, request.client_message_id.clone());
        if let Some((before, receipt)) = self.receipts.get(&name) {
            return if *before == request {
                Ok(Reply::Sent(receipt.clone()))
            } else {
                Err(Refusal::Because(ErrorReason::MessageIdConflict))
            };
        }
        let receipt = self.deposit(Some(caller), now, &request)?;
        self.receipts.insert(name, (request, receipt.clone()));
        Ok(Reply::Sent(receipt))
    }

    fn deposit(
        &mut self,
        sender: Option<DeviceId>,
        now: u64,
        request: &v1::SendRequest,
    ) -> Result<v1::SendResponse, Refusal> {
        let devices: Vec<_> = self
            .devices
            .iter()
            .filter(|(id, device)| device.address == request.recipient && Some(**id) != sender)
            .map(|(id, _)| id.as_bytes().to_vec())
            .collect();
        if devices.is_empty() {
            return Err(Refusal::Because(ErrorReason::AccountUnknown));
        }
        let mut named: Vec<_> = request
            .messages
            .iter()
            .map(|message| message.device_id.clone())
            .collect();
        named.sort();
        if named != devices {
            return Err(Refusal::Because(ErrorReason::DevicesMismatch));
        }
        let address = sender
            .map(|id| self.devices[&id].address.clone())
            .unwrap_or_default();
        for message in &request.messages {
            let device_id = DeviceId::from_slice(&message.device_id).expect("checked above");
            let envelope = v1::Envelope {
                envelope_id: Vec::new(),
                sender: address.clone(),
                sender_device_id: sender.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
                ciphertext: message.ciphertext.clone(),
                received_at_ms: now,
                ..Default::default()
            };
            let due = request.delivery.map_or(0, |delivery| delivery.deliver_after_ms);
            match sender {
                Some(sender) if due > now => {
                    let id = request.client_message_id.clone();
                    self.scheduled.push((sender, id, device_id, envelope, due));
                }
                _ => self.inject(device_id, envelope),
            }
        }
        let receipt = v1::SendResponse {
            receipt_id: self.id(),
            accepted_at_ms: now,
        };
        self.taken.push(request.clone());
        Ok(receipt)
    }

    fn id(&mut self) -> Vec<u8> {
        self.next_id += 1;
        u128::from(self.next_id).to_be_bytes().to_vec()
    }
}

impl Device {
    fn prekeys_left(&self) -> PrekeysLeft {
        let left = |count: usize| u32::try_from(count).expect("few");
        PrekeysLeft {
            one_time: left(self.one_time.len()),
            one_time_kem: left(self.one_time_kem.len()),
        }
    }
}

pub(crate) fn manifest_in(signed: &v1::SignedStatement) -> DeviceManifest {
    let signed = Signed::<DeviceManifest>::from_parts(&signed.statement, &signed.signature);
    signed.expect("a well-formed manifest").claimed().clone()
}

fn binding_in(signed: &v1::SignedStatement) -> DeviceBinding {
    let signed = Signed::<DeviceBinding>::from_parts(&signed.statement, &signed.signature);
    signed.expect("a well-formed binding").claimed().clone()
}

/// The id of a KEM prekey as it is published.
pub(crate) fn kem_prekey_id(prekey: &v1::SignedStatement) -> u32 {
    let signed = Signed::<KemPrekey>::from_parts(&prekey.statement, &prekey.signature);
    signed.expect("a well-formed prekey").claimed().id
}

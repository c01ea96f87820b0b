//! Whether a message is taken, decided in memory by what was read and by what was decided before it.

use sottovoce_statements::{AccessKeyHash, DeviceId};

use super::read::State;
use super::{Deposit, DepositRefusal, From, Mismatch, Receipt};

/// A deposit that was taken.
#[derive(Debug)]
pub(super) struct Taken {
    /// Its place in the set.
    pub(super) place: usize,
    /// The sequence of each letter, in their order; none when it is to be delivered later.
    pub(super) sequences: Option<Vec<i64>>,
    /// The recipient's account, when the sender is sealed.
    pub(super) account: Option<i64>,
}

impl State {
    /// Decides on the next deposit of the set.
    pub(super) fn decide(&mut self, deposit: &Deposit) -> Result<Receipt, DepositRefusal> {
        let place = self.decided;
        self.decided += 1;
        let name = (deposit.scope().to_vec(), deposit.client_message_id);
        if let Some((digest, receipt)) = self.answers.get(&name) {
            return if *digest == deposit.request_digest {
                Ok(*receipt)
            } else {
                Err(DepositRefusal::MessageIdConflict)
            };
        }
        self.check_sender(deposit)?;
        self.check_devices(deposit)?;
        self.check_room(deposit)?;
        let taken = self.take(deposit, place);
        self.taken.push(taken);
        let receipt = Receipt {
            receipt_id: deposit.receipt_id,
            accepted_at_ms: deposit.now_ms,
        };
        self.answers.insert(name, (deposit.request_digest, receipt));
        Ok(receipt)
    }

    pub(super) fn into_taken(self) -> Vec<Taken> {
        self.taken
    }

    fn check_sender(&self, deposit: &Deposit) -> Result<(), DepositRefusal> {
        let receipts = match &deposit.from {
            From::Device { device, .. } => self.devices.get(device).map(|device| device.receipts),
            From::Sealed { access_key, .. } => {
                let account = self.accounts.get(deposit.recipient.as_str());
                let hash = account.and_then(|account| account.access_key_hash.as_deref());
                let admitted = hash
                    .and_then(|hash| AccessKeyHash::from_slice(hash).ok())
                    .is_some_and(|hash| hash.admits(access_key));
                if !admitted {
                    return Err(DepositRefusal::AccessDenied);
                }
                account.map(|account| account.sealed_receipts)
            }
        };
        // A device that is gone since its token was checked sends nothing.
        match receipts {
            None => Err(DepositRefusal::AccountUnknown),
            Some(receipts) if receipts >= deposit.bounds.max_receipts => Err(DepositRefusal::ReceiptsFull {
                limit: deposit.bounds.max_receipts,
            }),
            Some(_) => Ok(()),
        }
    }

    fn check_devices(&self, deposit: &Deposit) -> Result<(), DepositRefusal> {
        let account = self
            .accounts
            .get(deposit.recipient.as_str())
            .ok_or(DepositRefusal::AccountUnknown)?;
        // Only on the sender's own account is the sending device among these.
        let is_sender = |device: &DeviceId| match &deposit.from {
            From::Device { device: sender, .. } => sender == device,
            From::Sealed { .. } => false,
        };
        let named = |device: &DeviceId| deposit.letters.iter().any(|letter| letter.device == *device);
        let expected = |device: &DeviceId| account.devices.contains(device) && !is_sender(device);
        let is_stale = |device: &DeviceId| {
            deposit.manifest_version != 0
                && self
                    .devices
                    .get(device)
                    .is_some_and(|device| device.since_version > deposit.manifest_version)
        };
        let devices = account.devices.iter().copied();
        let letters = || deposit.letters.iter().map(|letter| letter.device);
        let mismatch = Mismatch {
            missing: devices
                .filter(|device| expected(device) && !named(device))
                .collect(),
            extra: letters().filter(|device| !expected(device)).collect(),
            stale: letters()
                .filter(|device| expected(device) && is_stale(device))
                .collect(),
        };
        if mismatch == Mismatch::default() {
            Ok(())
        } else {
            Err(DepositRefusal::DevicesMismatch(mismatch))
        }
    }

    fn check_room(&self, deposit: &Deposit) -> Result<(), DepositRefusal> {
        let has_room = |device: &DeviceId, size: u64| {
            self.devices.get(device).is_some_and(|device| {
                device.messages < deposit.bounds.max_messages
                    && device.bytes.saturating_add(size) <= deposit.bounds.max_bytes
            })
        };
        let all = deposit
            .letters
            .iter()
            .all(|letter| has_room(&letter.device, letter.ciphertext.len() as u64));
        if all {
            Ok(())
        } else {
            Err(DepositRefusal::MailboxFull)
        }
    }

    fn take(&mut self, deposit: &Deposit, place: usize) -> Taken {
        let at_once = deposit.due_ms.is_none();
        let mut sequences = Vec::with_capacity(deposit.letters.len());
        for letter in &deposit.letters {
            if let Some(device) = self.devices.get_mut(&letter.device) {
                device.messages += 1;
                device.bytes += letter.ciphertext.len() as u64;
                if at_once {
                    device.last_sequence += 1;
                    sequences.push(device.last_sequence);
                }
            }
        }
        let mut sealed_for = None;
        match &deposit.from {
            From::Device { device, .. } => {
                if let Some(device) = self.devices.get_mut(device) {
                    device.receipts += 1;
                }
            }
            From::Sealed { .. } => {
                if let Some(account) = self.accounts.get_mut(deposit.recipient.as_str()) {
                    account.sealed_receipts += 1;
                    sealed_for = Some(account.id);
                }
            }
        }
        Taken {
            place,
            sequences: at_once.then_some(sequences),
            account: sealed_for,
        }
    }
}

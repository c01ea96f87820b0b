//! Safety numbers: what two people compare to know that nobody stands between them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use sha2::{Digest, Sha512};
use sottovoce_statements::Account;

use super::error::SafetyNumberError;
use super::fields::{read_address, write_address};
use crate::codec::{Reader, Write};

/// The safety number of two accounts. It is made of account keys, so it stays the same when either gets
/// a new phone, and changes when an account key does.
///
/// It prints as twelve groups of five digits, the same on both sides. Held by two people who trust the
/// channel they compare it over, or scanned from screen to screen.
///
/// ```
/// # use sottovoce_crypto::{AccountKeyPair, statements::Address};
/// use sottovoce_crypto::{SafetyNumber, statements::Account};
///
/// # let account = |address: &str, secret: u8| -> Result<Account, Box<dyn std::error::Error>> {
/// #     let account_key = AccountKeyPair::from_secret_bytes(&[secret; 32])?.public();
/// #     Ok(Account { address: Address::parse(address)?, account_key })
/// # };
/// # let (alice, bob) = (account("alice@one.example", 1)?, account("bob@two.example", 2)?);
/// let on_alices_phone = SafetyNumber::between(&alice, &bob);
/// let on_bobs_phone = SafetyNumber::between(&bob, &alice);
/// assert_eq!(on_alices_phone.to_string(), on_bobs_phone.to_string());
/// on_alices_phone.compare(&on_bobs_phone.to_scannable())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SafetyNumber {
    ours: Account,
    theirs: Account,
}

impl SafetyNumber {
    /// The safety number of our account and theirs.
    #[must_use]
    pub fn between(ours: &Account, theirs: &Account) -> Self {
        Self {
            ours: ours.clone(),
            theirs: theirs.clone(),
        }
    }

    /// The 60 digits, without spaces.
    #[must_use]
    pub fn digits(&self) -> String {
        let (ours, theirs) = (half(&self.ours), half(&self.theirs));
        let (first, second) = if ours <= theirs {
            (ours, theirs)
        } else {
            (theirs, ours)
        };
        first + &second
    }

    /// What to show for the other side to scan: both addresses and account keys, ours first. It holds no
    /// secret.
    #[must_use]
    pub fn to_scannable(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u8(SCANNABLE_VERSION);
        for account in [&self.ours, &self.theirs] {
            write_address(&mut bytes, &account.address);
            bytes.put(account.account_key.as_bytes());
        }
        bytes
    }

    /// Judges what was scanned from the other side's screen: whether the person who shows it has our key
    /// for us, and the key for themselves that we have for them.
    ///
    /// # Errors
    /// [`SafetyNumberError`] says in which way it does not match.
    pub fn compare(&self, scanned: &[u8]) -> Result<(), SafetyNumberError> {
        let mut reader = Reader::new(scanned);
        if reader.u8()? != SCANNABLE_VERSION {
            return Err(SafetyNumberError::UnsupportedVersion);
        }
        let mut account = || -> Result<_, SafetyNumberError> {
            let address = read_address(&mut reader)?;
            Ok((address, reader.array::<32>()?))
        };
        let (theirs, ours) = (account()?, account()?);
        reader.finish()?;
        if theirs.0 != self.theirs.address || ours.0 != self.ours.address {
            return Err(SafetyNumberError::OtherAccounts);
        }
        // Compared as bytes: one that is no key at all is a mismatch like any other.
        if theirs.1 == self.theirs.account_key.as_bytes() && ours.1 == self.ours.account_key.as_bytes() {
            Ok(())
        } else {
            Err(SafetyNumberError::Mismatch)
        }
    }
}

impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, digit) in self.digits().chars().enumerate() {
            if place > 0 && place % 5 == 0 {
                f.write_str(" ")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// SHA-512 is computed this many times for each half, as in Signal's numeric fingerprints. Thirty digits
/// are short of 100 bits; each try of somebody who looks for a key with the same digits costs 2¹² times as
/// much, which makes it 112 bits of work.
const ITERATIONS: usize = 5_200;

/// Opens the input of the first SHA-512.
const LABEL_SAFETY_NUMBER: &[u8] = b"Sottovoce-v1 safety number";

/// First byte of a scannable safety number.
const SCANNABLE_VERSION: u8 = 0x01;

/// One account's 30 digits.
fn half(account: &Account) -> String {
    let mut input = LABEL_SAFETY_NUMBER.to_vec();
    input.put(account.account_key.as_bytes());
    write_address(&mut input, &account.address);
    for _ in 0..ITERATIONS {
        let digest = Sha512::digest(&input);
        input.clear();
        input.put(&digest);
        input.put(account.account_key.as_bytes());
    }
    let mut digits = String::with_capacity(30);
    for five in input.chunks_exact(5).take(6) {
        let number = five
            .iter()
            .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        digits.push_str(&alloc::format!("{:05}", number % 100_000));
    }
    digits
}

//! Reading and writing of statement bytes: fixed widths, big-endian numbers, one-byte length prefixes.

use alloc::vec::Vec;

use crate::kem_key::MlKemKey;
use crate::keys::{AccountKey, IdentityKey, X25519Key};
use crate::signed::StatementError;
use crate::{Address, DeviceId, ServerName};

/// Stands before an Ed25519 key, so that no key is ever taken for another kind.
const KEY_ED25519: u8 = 0x01;
/// Stands before an X25519 key.
const KEY_X25519: u8 = 0x02;
/// Stands before an ML-KEM-768 key.
const KEY_ML_KEM: u8 = 0x03;

/// Appends fields to a statement's body.
pub struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(256))
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// One length byte, then the bytes.
    pub(crate) fn short(&mut self, bytes: &[u8]) -> Result<(), StatementError> {
        let length = u8::try_from(bytes.len()).map_err(|_| StatementError::FieldRange)?;
        self.u8(length);
        self.fixed(bytes);
        Ok(())
    }

    pub(crate) fn address(&mut self, address: &Address) -> Result<(), StatementError> {
        self.short(address.as_str().as_bytes())
    }

    pub(crate) fn server_name(&mut self, server: &ServerName) -> Result<(), StatementError> {
        self.short(server.as_str().as_bytes())
    }

    pub(crate) fn device_id(&mut self, id: DeviceId) {
        self.fixed(id.as_bytes());
    }

    pub(crate) fn account_key(&mut self, key: &AccountKey) {
        self.u8(KEY_ED25519);
        self.fixed(key.as_bytes());
    }

    pub(crate) fn identity_key(&mut self, key: &IdentityKey) {
        self.u8(KEY_ED25519);
        self.fixed(key.as_bytes());
    }

    pub(crate) fn x25519_key(&mut self, key: &X25519Key) {
        self.u8(KEY_X25519);
        self.fixed(key.as_bytes());
    }

    pub(crate) fn ml_kem_key(&mut self, key: &MlKemKey) {
        self.u8(KEY_ML_KEM);
        self.fixed(key.as_bytes());
    }
}

/// Takes fields from a statement's body, front to back.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], StatementError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(StatementError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], StatementError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(StatementError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, StatementError> {
        self.fixed::<1>().map(u8::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, StatementError> {
        self.fixed().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, StatementError> {
        self.fixed().map(u64::from_be_bytes)
    }

    pub(crate) fn short(&mut self) -> Result<&'a [u8], StatementError> {
        let length = self.u8()?;
        self.bytes(usize::from(length))
    }

    pub(crate) fn address(&mut self) -> Result<Address, StatementError> {
        let text = core::str::from_utf8(self.short()?).map_err(|_| StatementError::Address)?;
        Address::parse(text).map_err(|_| StatementError::Address)
    }

    pub(crate) fn server_name(&mut self) -> Result<ServerName, StatementError> {
        let text = core::str::from_utf8(self.short()?).map_err(|_| StatementError::Address)?;
        ServerName::parse(text).map_err(|_| StatementError::Address)
    }

    pub(crate) fn device_id(&mut self) -> Result<DeviceId, StatementError> {
        self.fixed().map(DeviceId::from_bytes)
    }

    pub(crate) fn account_key(&mut self) -> Result<AccountKey, StatementError> {
        AccountKey::from_slice(self.key(KEY_ED25519, 32)?).map_err(|_| StatementError::Key)
    }

    pub(crate) fn identity_key(&mut self) -> Result<IdentityKey, StatementError> {
        IdentityKey::from_slice(self.key(KEY_ED25519, 32)?).map_err(|_| StatementError::Key)
    }

    pub(crate) fn x25519_key(&mut self) -> Result<X25519Key, StatementError> {
        X25519Key::from_slice(self.key(KEY_X25519, 32)?).map_err(|_| StatementError::Key)
    }

    pub(crate) fn ml_kem_key(&mut self) -> Result<MlKemKey, StatementError> {
        MlKemKey::from_slice(self.key(KEY_ML_KEM, MlKemKey::LEN)?).map_err(|_| StatementError::Key)
    }

    /// Nothing may follow the last field: two byte strings never mean the same statement.
    pub(crate) fn finish(self) -> Result<(), StatementError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(StatementError::TrailingBytes)
        }
    }

    fn key(&mut self, kind: u8, length: usize) -> Result<&'a [u8], StatementError> {
        if self.u8()? != kind {
            return Err(StatementError::Key);
        }
        self.bytes(length)
    }
}

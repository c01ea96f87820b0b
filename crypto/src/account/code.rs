//! Generated codes that people write down: 128 random bits, which nobody guesses, and so nothing has to
//! be stretched.

use alloc::boxed::Box;
use alloc::string::String;

use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::error::CodeError;
use super::text::{TextLabel, from_text, to_grouped_text};
use crate::primitives::kdf::hkdf_sha256;
use crate::secret::{Secret32, redacted_debug};

/// Opens a recovery blob. It is shown once, when it is drawn, for the user to keep where the account's
/// devices are not.
pub struct RecoveryCode(Code);

/// Opens the backups of one account.
pub struct BackupCode(Code);

macro_rules! code {
    ($name:ident, $label:expr) => {
        impl $name {
            /// Draws a new code.
            pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
                Self(Code::random(rng))
            }

            /// Reads what somebody typed: white space, hyphens and case do not matter, and letters are
            /// taken for the digits they look like.
            ///
            /// # Errors
            /// [`CodeError`] when it is mistyped, or another kind of code.
            pub fn parse(text: &str) -> Result<Self, CodeError> {
                let bytes = from_text($label, text, CODE_LEN)?;
                let code = bytes
                    .as_slice()
                    .try_into()
                    .map_err(|_| CodeError::NotACode)?;
                Ok(Self(Code(Box::new(code))))
            }

            /// The code as text, eight groups of four characters.
            #[must_use]
            pub fn to_text(&self) -> Zeroizing<String> {
                to_grouped_text($label, self.0.0.as_slice())
            }

            /// 32 bytes that only who has the code can compute.
            pub(super) fn derive(&self, salt: &[u8; 32], info: &[&[u8]]) -> Secret32 {
                Secret32::copy_from(&hkdf_sha256::<32>(salt, self.0.0.as_slice(), info))
            }
        }

        redacted_debug!($name);
    };
}

code!(RecoveryCode, LABEL_RECOVERY_CODE);
code!(BackupCode, LABEL_BACKUP_CODE);

/// Opens the checksum's input of a recovery code.
const LABEL_RECOVERY_CODE: TextLabel = b"Sottovoce-v1 recovery code";
/// Opens the checksum's input of a backup code.
const LABEL_BACKUP_CODE: TextLabel = b"Sottovoce-v1 backup code";

/// Bytes of a code.
const CODE_LEN: usize = 16;

#[derive(Zeroize, ZeroizeOnDrop)]
struct Code(Box<[u8; CODE_LEN]>);

impl Code {
    fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut code = Self(Box::new([0; CODE_LEN]));
        rng.fill_bytes(code.0.as_mut_slice());
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn codes_print_no_secret() {
        let rng = &mut rand_chacha::ChaCha20Rng::from_seed([1; 32]);
        use rand_chacha::rand_core::SeedableRng;
        assert_eq!(
            format!("{:?}", RecoveryCode::generate(rng)),
            "RecoveryCode([redacted])"
        );
        assert_eq!(
            format!("{:?}", BackupCode::generate(rng)),
            "BackupCode([redacted])"
        );
    }
}

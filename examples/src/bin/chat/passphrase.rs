//! Asks for the passphrase without showing it.

use std::io::{self, IsTerminal};

use zeroize::Zeroizing;

/// What a chat takes instead of asking.
const VARIABLE: &str = "SOTTOVOCE_PASSPHRASE";

/// Why there is no passphrase.
#[derive(Debug)]
pub(crate) enum PassphraseError {
    /// There is nobody to ask.
    NoTerminal,
    /// The terminal failed.
    Terminal(io::Error),
}

/// From the variable where it is set, else from the terminal.
pub(crate) fn ask() -> Result<Zeroizing<String>, PassphraseError> {
    if let Ok(passphrase) = std::env::var(VARIABLE) {
        return Ok(Zeroizing::new(passphrase));
    }
    if !io::stdin().is_terminal() {
        return Err(PassphraseError::NoTerminal);
    }
    rpassword::prompt_password("Passphrase for your store: ")
        .map(Zeroizing::new)
        .map_err(PassphraseError::Terminal)
}

impl std::fmt::Display for PassphraseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoTerminal => write!(
                f,
                "there is no terminal to ask for the passphrase on: set {VARIABLE} instead"
            ),
            Self::Terminal(error) => write!(f, "the passphrase cannot be asked for: {error}"),
        }
    }
}

impl std::error::Error for PassphraseError {}

//! Asks for the passphrase without showing it.

use std::io;

use zeroize::Zeroizing;

/// From the variable `SOTTOVOCE_PASSPHRASE` where it is set, else from the terminal.
pub(crate) fn ask() -> io::Result<Zeroizing<String>> {
    match std::env::var("SOTTOVOCE_PASSPHRASE") {
        Ok(passphrase) => Ok(Zeroizing::new(passphrase)),
        Err(_) => rpassword::prompt_password("Passphrase for your store: ").map(Zeroizing::new),
    }
}

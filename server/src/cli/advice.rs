//! What to do about a server that does not start, where that is known.

use std::error::Error;
use std::io;

use crate::error::StartError;

/// For a failure or whichever of its causes is known here.
pub(super) fn about(failure: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut error = Some(failure);
    while let Some(cause) = error {
        if let Some(start) = cause.downcast_ref::<StartError>() {
            return about_start(start);
        }
        error = cause.source();
    }
    None
}

fn about_start(error: &StartError) -> Option<&'static str> {
    match error {
        StartError::PlaintextNetwork { .. } => Some(
            "Listen on 127.0.0.1 and put a proxy that speaks TLS in front, or, on a network you trust \
             entirely, add --insecure-allow-plaintext-network.",
        ),
        StartError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => Some(
            "Another program, perhaps another Sottovoce server, has that port. Stop it, or choose \
             another with --listen 127.0.0.1:PORT (0 takes a free one).",
        ),
        StartError::ListenAdmin { source, .. } if source.kind() == io::ErrorKind::AddrInUse => Some(
            "Another program, perhaps another Sottovoce server, has that port. Stop it, or choose \
             another for admin.listen in the settings (SOTTOVOCE_ADMIN__LISTEN=127.0.0.1:PORT; 0 takes a \
             free one).",
        ),
        StartError::DataDirInUse { .. } => {
            Some("Stop that server first, or choose another folder with --data-dir.")
        }
        StartError::OtherName { .. } => Some(
            "Set server_name to that (--server-name, SOTTOVOCE_SERVER_NAME). A server of another name begins with \
             a data folder (--data-dir), or a database, of its own.",
        ),
        _ => None,
    }
}

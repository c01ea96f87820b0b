//! The socket a running server takes orders on: a line of JSON each way. Who may open the socket's file
//! may give orders, and that is the user the server runs as; the system says who it is that calls.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{Answer, Order, Refused, carry_out, load_blocks};
use crate::app::App;

const SOCKET_FILE: &str = "sottovoce.sock";

/// Longest order, in bytes: a note and what is around it, several times.
const MAX_ORDER_LEN: u64 = 4 * 1024;

/// Longest answer, in bytes: all blocks there may be, with their notes.
const MAX_ANSWER_LEN: u64 = 64 * 1024 * 1024;

/// How long an order may take to come, and to be carried out.
const PATIENCE: Duration = Duration::from_secs(15);

/// Pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(100);

/// The super-user, who may do everything anyhow.
const ROOT: u32 = 0;

/// The socket, taking orders until dropped; then its file is gone.
#[derive(Debug)]
pub(crate) struct Orders {
    path: PathBuf,
    _taking: AbortOnDropHandle<()>,
}

impl Orders {
    /// Begins to take orders in the data folder, which nobody else has open.
    pub(crate) fn take(app: &Arc<App>, data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(SOCKET_FILE);
        // A server that was killed leaves its socket behind.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let owner = std::fs::metadata(&path)?.uid();
        Ok(Self {
            path,
            _taking: AbortOnDropHandle::new(tokio::spawn(listen(app.clone(), listener, owner))),
        })
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        // Where it stays, the next server removes it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// One after the other: operators are few.
async fn listen(app: Arc<App>, listener: UnixListener, owner: u32) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let allowed = stream
            .peer_cred()
            .is_ok_and(|peer| [owner, ROOT].contains(&peer.uid()));
        if allowed {
            // Who does not finish, or does not listen, has had its chance.
            let _ = timeout(PATIENCE, answer(&app, stream)).await;
        }
    }
}

async fn answer(app: &Arc<App>, mut stream: UnixStream) -> io::Result<()> {
    let (reading, mut writing) = stream.split();
    let mut line = String::new();
    BufReader::new(reading.take(MAX_ORDER_LEN))
        .read_line(&mut line)
        .await?;
    let answer = match serde_json::from_str(&line) {
        Ok(order) => {
            let changes_blocks = matches!(order, Order::Block { .. } | Order::Unblock { .. });
            let answer = carry_out(&app.store, order).await;
            // Otherwise it takes effect with the next regular look.
            if changes_blocks && load_blocks(&app.store, &app.blocks).await.is_err() {
                Answer::Refused(Refused::Database)
            } else {
                answer
            }
        }
        Err(_) => Answer::Refused(Refused::NotUnderstood),
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    writing.write_all(&text).await
}

/// Has the server that runs on `data_dir` carry out an order. `None` when there is none.
pub(crate) async fn ask(data_dir: &Path, order: &Order) -> io::Result<Option<Answer>> {
    let mut stream = match UnixStream::connect(data_dir.join(SOCKET_FILE)).await {
        Ok(stream) => stream,
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&error.kind()) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut text = serde_json::to_vec(order)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_LEN).read_to_string(&mut answer).await?;
    if answer.is_empty() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(Some(serde_json::from_str(&answer)?))
}

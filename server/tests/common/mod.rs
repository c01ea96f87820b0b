//! What the tests share: a server in this process, devices that sign by hand, raw calls.

mod certificates;
mod database;
mod device;
mod files;
pub(crate) mod h2;
mod program;
mod raw;
pub(crate) mod s3;
mod stream;

pub(crate) use certificates::Authority;
pub(crate) use database::{
    Look, add_device, dump, execute, expire_tokens, hold_the_write_lock, postgres_url, service, setting,
};
pub(crate) use device::{Device, statement};
pub(crate) use files::{contains, files};
pub(crate) use program::{Program, database_variable};
pub(crate) use raw::{call, half_open, last_word, prefix, streamed, unfinished};
pub(crate) use stream::{end_of, subscribe, until_queue_empty};

use std::net::SocketAddr;
use std::path::PathBuf;

use prost::Message;
use sottovoce_proto::v1::DeviceMismatch;
use sottovoce_proto::v1::account_service_client::AccountServiceClient;
use sottovoce_proto::v1::auth_service_client::AuthServiceClient;
use sottovoce_proto::v1::mailbox_service_client::MailboxServiceClient;
use sottovoce_proto::v1::prekey_service_client::PrekeyServiceClient;
use sottovoce_server::{Config, Limits, Server};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

/// Which database the servers of the tests have. Each has a test binary, with the same tests.
#[allow(dead_code, reason = "each test binary has one of them")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
}

/// A server in this process, on a free port, with a database of its own.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) database: PathBuf,
    pub(crate) folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), change).await
    }

    pub(crate) async fn start_limited(change: impl FnOnce(&mut Limits)) -> Self {
        Self::start_with(|config| change(&mut config.limits)).await
    }

    pub(crate) async fn start_in(folder: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let data_dir = folder.path().join("data");
        let mut config = Config {
            database: setting(&data_dir),
            data_dir,
            listen: "127.0.0.1:0".parse().unwrap(),
            ..Config::default()
        };
        change(&mut config);
        let server = Server::bind(config).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let (address, database) = (server.local_addr(), server.database_path());
        let serving = tokio::spawn(async move {
            server
                .serve(async {
                    let _ = stopped.await;
                })
                .await
                .unwrap();
        });
        Self {
            address,
            database,
            folder,
            stop: Some(stop),
            serving,
        }
    }

    pub(crate) async fn connect(&self) -> Clients {
        Clients::connect(self.address).await
    }

    /// Begins to stop, and returns without waiting.
    pub(crate) fn begin_to_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Stops in order, and gives the data folder back.
    pub(crate) async fn stop(mut self) -> TempDir {
        if self.stop.is_some() {
            self.begin_to_stop();
        }
        self.serving.await.unwrap();
        self.folder
    }
}

/// All clients over one connection.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) channel: Channel,
    pub(crate) accounts: AccountServiceClient<Channel>,
    pub(crate) auth: AuthServiceClient<Channel>,
    pub(crate) prekeys: PrekeyServiceClient<Channel>,
    pub(crate) mailbox: MailboxServiceClient<Channel>,
}

impl Clients {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.unwrap()
    }

    pub(crate) async fn try_connect(address: SocketAddr) -> Result<Self, tonic::transport::Error> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?
            .connect()
            .await?;
        Ok(Self::over(channel))
    }

    /// Over TLS, to a server of this machine that `authority` vouches for.
    pub(crate) async fn connect_tls(address: SocketAddr, authority: &Authority) -> Self {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
        let endpoint = Endpoint::from_shared(format!("https://localhost:{}", address.port())).unwrap();
        Self::over(endpoint.tls_config(tls).unwrap().connect().await.unwrap())
    }

    fn over(channel: Channel) -> Self {
        Self {
            accounts: AccountServiceClient::new(channel.clone()),
            auth: AuthServiceClient::new(channel.clone()),
            prekeys: PrekeyServiceClient::new(channel.clone()),
            mailbox: MailboxServiceClient::new(channel.clone()),
            channel,
        }
    }
}

/// A request that carries a token.
pub(crate) fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// What a refusal says: code, reason, field.
pub(crate) fn told(status: &Status) -> (Code, String, String) {
    let details = status.get_error_details();
    let Some(info) = details.error_info() else {
        return (
            status.code(),
            format!("untyped: {}", status.message()),
            String::new(),
        );
    };
    assert_eq!(info.domain, "sottovoce.v1");
    let field = info.metadata.get("field").cloned().unwrap_or_default();
    (status.code(), info.reason.clone(), field)
}

/// The reason of a refusal.
pub(crate) fn reason(status: &Status) -> String {
    told(status).1
}

/// How the devices that were named differ from those there are.
pub(crate) fn mismatch(status: &Status) -> DeviceMismatch {
    let details = tonic_types::pb::Status::decode(status.details()).unwrap();
    let any = details
        .details
        .iter()
        .find(|any| any.type_url.ends_with("DeviceMismatch"))
        .unwrap();
    DeviceMismatch::decode(any.value.as_slice()).unwrap()
}

/// 16 bytes that differ for every `n`.
pub(crate) fn id(n: u64) -> Vec<u8> {
    let mut bytes = vec![0xa5; 8];
    bytes.extend_from_slice(&n.to_be_bytes());
    bytes
}

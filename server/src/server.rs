//! The server: bound, then serving, then stopped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sottovoce_proto::FILE_DESCRIPTOR_SET;
use sottovoce_proto::v1::account_service_server::AccountServiceServer;
use sottovoce_proto::v1::auth_service_server::AuthServiceServer;
use sottovoce_proto::v1::blob_service_server::BlobServiceServer;
use sottovoce_proto::v1::channel_service_server::ChannelServiceServer;
use sottovoce_proto::v1::mailbox_service_server::MailboxServiceServer;
use sottovoce_proto::v1::prekey_service_server::PrekeyServiceServer;
use sottovoce_proto::v1::server_service_server::ServerServiceServer;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;
use tower::ServiceBuilder;

use crate::admin::{Admin, History, observe};
use crate::app::App;
use crate::auth::{Challenges, random};
use crate::blobs::{Downloads, Shelves, Storage};
use crate::blocks::BlockList;
use crate::config::{Config, Database};
use crate::connections::Connections;
use crate::cors::Cors;
use crate::descriptors;
use crate::error::{ServeError, StartError};
use crate::fan_out::{self, FanOuts};
use crate::gate::GateLayer;
use crate::hints::{Nats, Outbox, Outgoings};
use crate::hub::Hub;
use crate::jobs::{Runner, RunsHere, node_name};
use crate::limits::{MAX_RESPONSE_LEN, MAX_SIDE_REQUEST_LEN};
use crate::metrics::Metrics;
#[cfg(unix)]
use crate::orders::Orders;
use crate::orders::load_blocks;
use crate::rates::Rates;
use crate::service::{Accounts, Auth, Blobs, Channels, Info, Mailboxes, Prekeys};
use crate::serving::Manners;
use crate::store::{SharedKey, Store};
use crate::tls::{self, Certificate};
use crate::watch::watch;

/// What `grpc.health.v1.Health` answers for, besides the server as a whole.
const SERVICES: [&str; 7] = [
    "sottovoce.v1.AccountService",
    "sottovoce.v1.AuthService",
    "sottovoce.v1.BlobService",
    "sottovoce.v1.ChannelService",
    "sottovoce.v1.MailboxService",
    "sottovoce.v1.PrekeyService",
    "sottovoce.v1.ServerService",
];

/// A server that is bound to its address and has its database open.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    certificate: Option<Arc<Certificate>>,
    cors: Cors,
    admin: Option<Admin>,
    // From here on, so that whoever is told of the server can give it orders.
    #[cfg(unix)]
    orders: Option<Orders>,
    app: Arc<App>,
    nats: Option<(Nats, Outgoings)>,
}

impl Server {
    /// Binds the address, opens the database and brings its tables up to date. Clients that connect
    /// from here on are answered once [`Server::serve`] runs.
    ///
    /// # Errors
    /// [`StartError`], which says what stands in the way.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let mut config = config;
        let address = config.listen;
        tls::install_provider();
        let certificate = match config.tls.take() {
            Some(files) => Some(Certificate::load(files).await?),
            None if address.ip().is_loopback() || config.allow_plaintext_network => None,
            None => return Err(StartError::PlaintextNetwork { address }),
        };
        let cors = Cors::new(&config.web_origins)?;
        config.limits.max_connections = descriptors::connections(config.limits.max_connections);
        let failed = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let admin = match config.admin.listen {
            Some(address) => Some(bind_admin(address).await?),
            None => None,
        };
        let (others, outbox) = match config.nats {
            Some(_) => {
                let (others, outbox) = Outbox::new();
                (others, Some(outbox))
            }
            None => (Outbox::nowhere(), None),
        };
        let hub = Hub::new(config.limits.max_streams, others);
        let nats = match (&config.nats, outbox) {
            (Some(url), Some(outbox)) => Some((Nats::connect(url, &config.server_name).await?, outbox)),
            _ => None,
        };
        let store = Store::open_as(&config, hub.clone()).await?;
        let storage = Storage::open(&config.storage, &config.data_dir).await?;
        let downloads = Downloads::new(&config.limits, &config.trusted_proxies);
        let blocks = BlockList::new();
        load_blocks(&store, &blocks)
            .await
            .map_err(|_| StartError::Unreadable)?;
        let challenges = challenges(&store, &config).await?;
        let fan_outs = FanOuts::new(&config.database).map_err(|_| StartError::Randomness)?;
        let app = App {
            server_name: config.server_name,
            registration: config.registration,
            rates: Arc::new(Rates::new(&config.limits.rates)),
            limits: config.limits,
            store: Arc::new(store),
            hub,
            several_nodes: matches!(config.database, Database::Postgres(_)),
            fan_outs,
            challenges,
            blocks: Arc::new(blocks),
            trusted_proxies: config.trusted_proxies,
            storage,
            downloads,
            shelves: Shelves::default(),
            given_up: Notify::new(),
            node: node_name(config.node).map_err(|_| StartError::Randomness)?,
            runs_here: RunsHere::default(),
            metrics: Metrics::new(),
            history: History::new(),
            started: Instant::now(),
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
        };
        let app = Arc::new(app);
        Ok(Self {
            listener,
            local_addr,
            certificate,
            cors,
            admin,
            #[cfg(unix)]
            orders: take_orders(&app, &config.data_dir),
            app,
            nats,
        })
    }

    /// Where the server listens, with the port it got.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where operators are listened for, where they are.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::local_addr)
    }

    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.certificate.is_some()
    }

    /// Where the database file is.
    #[must_use]
    pub fn database_path(&self) -> PathBuf {
        self.app.store.database_path()
    }

    /// Whether this start created the database.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.app.store.is_new()
    }

    /// Serves until `shutdown` is done, then stops in order: no new connections, streams end with a
    /// reason, calls in flight finish, the database is closed. Takes no longer for that than
    /// [`crate::Limits::shutdown_grace`] and one last commit.
    ///
    /// # Errors
    /// [`ServeError`] when the transport or the database's writer fails; what can be closed in order is.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Self {
            nats,
            listener,
            app,
            certificate,
            cors,
            admin,
            #[cfg(unix)]
                orders: _orders,
            ..
        } = self;
        let (health, health_service) = tonic_health::server::health_reporter();
        report(&health, ServingStatus::Serving).await;
        let described = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let reflection = described()
            .build_v1()?
            .max_decoding_message_size(MAX_SIDE_REQUEST_LEN);
        // The same by the name that it had before, which some clients still ask for.
        let reflection_alpha = described()
            .build_v1alpha()?
            .max_decoding_message_size(MAX_SIDE_REQUEST_LEN);
        let routes = routes(&app)
            .add_service(health_service.max_decoding_message_size(MAX_SIDE_REQUEST_LEN))
            .add_service(reflection)
            .add_service(reflection_alpha)
            .prepare();
        let calls = ServiceBuilder::new()
            .layer(GrpcWebLayer::new())
            .layer(GateLayer::new(app.clone()))
            .service(routes);
        let acceptor = certificate.as_ref().map(Certificate::acceptor).transpose()?;
        let (closing, cut) = (CancellationToken::new(), CancellationToken::new());
        // Whatever ends this function, also being dropped, closes the connections it has opened.
        let _cut_at_the_end = (closing.clone().drop_guard(), cut.clone().drop_guard());
        let manners = Manners::new(cors, acceptor.is_some());
        let connections = Connections::new(
            app.clone(),
            acceptor,
            manners,
            calls,
            closing.clone(),
            cut.clone(),
        );
        let jobs = Runner::start(&app);
        let blocks = AbortOnDropHandle::new(tokio::spawn(keep_blocks(app.clone())));
        let observer = AbortOnDropHandle::new(tokio::spawn(observe(app.clone())));
        let _admin = admin.map(|admin| AbortOnDropHandle::new(tokio::spawn(admin.serve(app.clone()))));
        let cluster = AbortOnDropHandle::new(tokio::spawn(stay_together(app.clone(), nats)));
        let _renewal = certificate.map(|certificate| {
            AbortOnDropHandle::new(tokio::spawn(async move { certificate.keep_current().await }))
        });
        let fan_out = AbortOnDropHandle::new(tokio::spawn(fan_out::run(app.clone())));
        let stop = async {
            shutdown.await;
            app.draining.cancel();
            report(&health, ServingStatus::NotServing).await;
            // Whoever spreads the load hears of it before the first connection is refused.
            tokio::time::sleep(app.limits.drain_delay).await;
            app.stopping.cancel();
            closing.cancel();
            close_watches(health).await;
        };
        let serving = async { tokio::join!(connections.accept(listener), stop) };
        let result = tokio::select! {
            _ = serving => Ok(()),
            () = out_of_patience(&app) => Ok(()),
            () = app.store.writer_ended() => Err(ServeError::Writer),
        };
        cut.cancel();
        app.stopping.cancel();
        // Before the database is: what they find closed then is no failure.
        drop((jobs, blocks, observer, cluster, fan_out));
        app.store.close().await;
        result
    }
}

/// A server that cannot be given orders serves all the same.
#[cfg(unix)]
fn take_orders(app: &Arc<App>, data_dir: &Path) -> Option<Orders> {
    let orders = Orders::take(app, data_dir);
    if let Err(error) = &orders {
        tracing::warn!(kind = %error.kind(), "orders cannot be taken: stop the server to give them");
    }
    orders.ok()
}

/// What another node or a command blocks takes effect here as well, in a moment.
async fn keep_blocks(app: Arc<App>) {
    const INTERVAL: Duration = Duration::from_secs(10);
    loop {
        tokio::time::sleep(INTERVAL).await;
        // Those that are known stay in force.
        let _ = load_blocks(&app.store, &app.blocks).await;
    }
}

async fn bind_admin(address: SocketAddr) -> Result<Admin, StartError> {
    let failed = |source| StartError::ListenAdmin { address, source };
    Admin::bind(address).await.map_err(failed)
}

/// Every node makes and knows the same ones.
async fn challenges(store: &Store, config: &Config) -> Result<Challenges, StartError> {
    let key = SharedKey {
        name: "challenges",
        fresh: random().map_err(|_| StartError::Randomness)?,
    };
    let key = store.write(key).await.map_err(|_| StartError::SharedKey)?;
    Challenges::new(config.server_name.clone(), &key, &config.limits).map_err(|_| StartError::Randomness)
}

/// How large requests may be is the gate's to say, call by call.
fn routes(app: &Arc<App>) -> Routes {
    Routes::new(AccountServiceServer::new(Accounts(app.clone())).max_encoding_message_size(MAX_RESPONSE_LEN))
        .add_service(AuthServiceServer::new(Auth(app.clone())).max_encoding_message_size(MAX_RESPONSE_LEN))
        .add_service(
            PrekeyServiceServer::new(Prekeys(app.clone())).max_encoding_message_size(MAX_RESPONSE_LEN),
        )
        .add_service(BlobServiceServer::new(Blobs(app.clone())).max_encoding_message_size(MAX_RESPONSE_LEN))
        .add_service(
            ChannelServiceServer::new(Channels::new(app.clone())).max_encoding_message_size(MAX_RESPONSE_LEN),
        )
        .add_service(ServerServiceServer::new(Info(app.clone())).max_encoding_message_size(MAX_RESPONSE_LEN))
        .add_service(
            MailboxServiceServer::new(Mailboxes(app.clone())).max_encoding_message_size(MAX_RESPONSE_LEN),
        )
}

async fn report(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES.iter().copied().chain([""]) {
        health.set_service_status(service, status).await;
    }
}

/// Watchers have been told; without this their streams would stay open and hold up the stop.
async fn close_watches(mut health: HealthReporter) {
    for service in SERVICES.iter().copied().chain([""]) {
        health.clear_service_status(service).await;
    }
}

async fn out_of_patience(app: &App) {
    app.stopping.cancelled().await;
    tokio::time::sleep(app.limits.shutdown_grace).await;
    tracing::warn!("some calls did not end in time and were cut");
}

/// Tells the other nodes and hears them, where there may be any.
async fn stay_together(app: Arc<App>, nats: Option<(Nats, Outgoings)>) {
    if !app.several_nodes {
        return;
    }
    let hints_arrive = nats.as_ref().map(|(nats, _)| nats.connected());
    let hinting = async {
        match nats {
            Some((nats, outbox)) => nats.run(app.hub.clone(), outbox).await,
            None => std::future::pending().await,
        }
    };
    tokio::join!(watch(app.clone(), hints_arrive), hinting);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::BlockedPrefix;
    use crate::clock::now_ms;
    use crate::store::{Tx, Write, WriteError};
    use sottovoce_proto::v1::GetServerInfoRequest;
    use sottovoce_proto::v1::server_service_client::ServerServiceClient;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tonic_types::StatusExt;

    struct Broken;

    impl Write for Broken {
        type Output = ();
        type Refusal = std::convert::Infallible;

        async fn apply(&self, _: &mut Tx<'_>) -> Result<(), WriteError<Self::Refusal>> {
            panic!("a bug in a change")
        }
    }

    #[tokio::test]
    async fn a_server_without_its_writer_does_not_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: folder.path().join("data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ..Config::default()
        };
        let server = Server::bind(config).await.unwrap();
        let app = server.app.clone();
        let serving = tokio::spawn(server.serve(std::future::pending()));
        assert_eq!(app.store.write(Broken).await, Err(WriteError::Failed));
        let ended = tokio::time::timeout(Duration::from_secs(5), serving).await;
        assert!(matches!(ended.unwrap().unwrap(), Err(ServeError::Writer)));
    }

    #[tokio::test]
    async fn who_is_blocked_is_cut_off_and_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: folder.path().join("data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            trusted_proxies: vec!["127.0.0.2".parse().unwrap()],
            ..Config::default()
        };
        let server = Server::bind(config).await.unwrap();
        let (app, address) = (server.app.clone(), server.local_addr());
        let _serving = AbortOnDropHandle::new(tokio::spawn(server.serve(std::future::pending())));
        let mut open = TcpStream::connect(address).await.unwrap();
        open.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut settings = [0; 9];
        open.read_exact(&mut settings).await.unwrap();
        app.blocks.replace(vec![BlockedPrefix {
            prefix: "127.0.0.0/8".parse().unwrap(),
            until_ms: Some(now_ms() + 3_600_000),
        }]);
        let is_closed = async |mut socket: TcpStream| {
            let mut rest = Vec::new();
            let closed = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut rest));
            closed.await.is_ok()
        };
        assert!(is_closed(open).await);
        assert!(is_closed(TcpStream::connect(address).await.unwrap()).await);
        app.blocks.replace(Vec::new());
        let mut back = TcpStream::connect(address).await.unwrap();
        back.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        back.read_exact(&mut settings).await.unwrap();
    }

    #[tokio::test]
    async fn who_is_blocked_is_refused_behind_a_proxy_too() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: folder.path().join("data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
            ..Config::default()
        };
        let server = Server::bind(config).await.unwrap();
        let (app, address) = (server.app.clone(), server.local_addr());
        let _serving = AbortOnDropHandle::new(tokio::spawn(server.serve(std::future::pending())));
        app.blocks.replace(vec![BlockedPrefix {
            prefix: "192.0.2.0/24".parse().unwrap(),
            until_ms: None,
        }]);
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut client = ServerServiceClient::new(endpoint.connect().await.unwrap());
        let mut call = async |from: &str| {
            let mut request = tonic::Request::new(GetServerInfoRequest {});
            request
                .metadata_mut()
                .insert("x-forwarded-for", from.parse().unwrap());
            let answer = client.get_server_info(request).await;
            answer
                .map(drop)
                .map_err(|status| status.get_details_error_info().unwrap().reason)
        };
        assert_eq!(call("192.0.2.7").await.unwrap_err(), "BLOCKED");
        assert_eq!(call("198.51.100.7").await, Ok(()));
    }
}

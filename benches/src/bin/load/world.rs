//! A server with its database, in a temporary folder, and the way to reach it.

use std::path::PathBuf;

use tempfile::TempDir;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::device::SERVER;
use crate::measure::Plan;
use crate::meter::Meter;
use crate::postgres::Cluster;
use crate::program::Program;
use crate::tls::Certificates;

/// Which database the server uses.
#[derive(Clone)]
pub(crate) enum Store {
    Sqlite,
    /// A cluster started for the purpose.
    Postgres,
    /// One that is there already; its URL.
    External(String),
}

/// What is the same for all servers of a run.
#[derive(Clone)]
pub(crate) struct Setup {
    /// The server's program.
    pub(crate) server: PathBuf,
    pub(crate) store: Store,
    /// Where temporary folders are made: on the disk that is meant.
    pub(crate) folder: PathBuf,
    pub(crate) plan: Plan,
}

/// A server, its database, and what measures them.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) endpoint: Endpoint,
    pub(crate) meter: Meter,
    setup: Setup,
    settings: Vec<(&'static str, String)>,
    certificates: Certificates,
    /// Nothing only while it is being replaced.
    program: Option<Program>,
    cluster: Option<Cluster>,
    folder: TempDir,
}

impl World {
    /// A new server with an empty database.
    pub(crate) async fn start(setup: &Setup) -> Self {
        let folder = tempfile::tempdir_in(&setup.folder).unwrap();
        let certificates = Certificates::make(folder.path());
        let mut settings = settings(&folder, &certificates);
        let cluster = match &setup.store {
            Store::Sqlite => None,
            Store::Postgres => {
                let cluster = Cluster::start(&setup.folder).await;
                settings.push(("SOTTOVOCE_DATABASE", cluster.database("load").await));
                Some(cluster)
            }
            Store::External(url) => {
                settings.push(("SOTTOVOCE_DATABASE", url.clone()));
                None
            }
        };
        let program = Program::start(&setup.server, &settings).await;
        Self {
            plan: setup.plan,
            endpoint: endpoint(&program, &certificates),
            meter: Meter {
                server: program.pid(),
                database: cluster.as_ref().map(Cluster::pid),
                folder: folder.path().to_owned(),
            },
            setup: setup.clone(),
            settings,
            certificates,
            program: Some(program),
            cluster,
            folder,
        }
    }

    /// Stops the server and starts it again on the same database. Devices stay signed in.
    pub(crate) async fn restart(&mut self) {
        if let Some(program) = self.program.take() {
            program.stop().await;
        }
        let program = Program::start(&self.setup.server, &self.settings).await;
        self.endpoint = endpoint(&program, &self.certificates);
        self.meter.server = program.pid();
        self.program = Some(program);
    }

    /// Stops the server in order.
    pub(crate) async fn stop(self) {
        if let Some(program) = self.program {
            program.stop().await;
        }
        // Only now is nobody using them.
        drop((self.cluster, self.folder));
    }
}

/// What the server is told beyond its defaults: where to be, and limits that keep the measurement from
/// being one of the limits.
fn settings(folder: &TempDir, certificates: &Certificates) -> Vec<(&'static str, String)> {
    let text = |text: &str| text.to_owned();
    let path = |path: &std::path::Path| path.display().to_string();
    vec![
        ("SOTTOVOCE_LISTEN", text("127.0.0.1:0")),
        ("SOTTOVOCE_DATA_DIR", path(&folder.path().join("data"))),
        ("SOTTOVOCE_REGISTRATION", text("open")),
        ("SOTTOVOCE_TLS__CERTIFICATE", path(&certificates.chain)),
        ("SOTTOVOCE_TLS__KEY", path(&certificates.key)),
        ("SOTTOVOCE_LOG__LEVEL", text("warn")),
        // One address, and devices that do in a second what people do in a day.
        ("SOTTOVOCE_LIMITS__RATES__SCALE", text("100000")),
        ("SOTTOVOCE_LIMITS__MAX_RECEIPTS_PER_DEVICE", text("10000000")),
        ("SOTTOVOCE_LIMITS__MAX_STREAMS", text("20000")),
    ]
}

fn endpoint(program: &Program, certificates: &Certificates) -> Endpoint {
    let port = program.address.port();
    if !program.tls {
        return Endpoint::from_shared(format!("http://{}", program.address)).unwrap();
    }
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&certificates.root_pem))
        .domain_name(SERVER);
    Endpoint::from_shared(format!("https://{}:{port}", program.address.ip()))
        .unwrap()
        .tls_config(tls)
        .unwrap()
}

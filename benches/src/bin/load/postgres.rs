//! A PostgreSQL cluster that lives as long as the run, in a temporary folder, reached by its socket only.
//! Its settings are PostgreSQL's own defaults: it syncs, and commits are durable.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Where Debian keeps the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A running cluster. Its processes end when this is dropped, and its folder is removed.
pub(crate) struct Cluster {
    postmaster: Child,
    folder: TempDir,
}

impl Cluster {
    /// Makes a cluster below `parent` and starts it.
    pub(crate) async fn start(parent: &Path) -> Self {
        let folder = tempfile::tempdir_in(parent).unwrap();
        let user = other_user();
        if let Some(user) = &user {
            std::os::unix::fs::chown(folder.path(), Some(user.id), Some(user.group)).unwrap();
        }
        let data = folder.path().join("data");
        let made = as_user(user.as_ref(), &program("initdb"))
            .args([
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--username=sottovoce",
            ])
            .arg("--pgdata")
            .arg(&data)
            .current_dir(folder.path())
            .output()
            .await
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let postmaster = as_user(user.as_ref(), &program("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses="])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let cluster = Self { postmaster, folder };
        cluster.wait_until_it_answers().await;
        cluster
    }

    /// Where the server finds its database: `name`, which is made by this.
    pub(crate) async fn database(&self, name: &str) -> String {
        let mut conn = PgConnection::connect(&self.url("postgres")).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut conn)
            .await
            .unwrap();
        conn.close().await.unwrap();
        self.url(name)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.postmaster.id().unwrap()
    }

    fn url(&self, database: &str) -> String {
        format!(
            "postgres://sottovoce@localhost/{database}?host={}",
            self.folder.path().display()
        )
    }

    async fn wait_until_it_answers(&self) {
        for _ in 0..300 {
            if PgConnection::connect(&self.url("postgres")).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = std::fs::read_to_string(self.folder.path().join("log"));
        panic!("PostgreSQL did not start: {}", log.unwrap_or_default());
    }
}

/// Somebody else than root, as whom PostgreSQL refuses to run.
struct User {
    name: String,
    id: u32,
    group: u32,
}

/// Whom to run as: nobody else, unless this is root.
fn other_user() -> Option<User> {
    let us = std::fs::metadata("/proc/self").unwrap().uid();
    if us != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    ["postgres", "nobody"].iter().find_map(|name| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(User {
            name: (*name).to_owned(),
            id: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    })
}

/// A command that becomes `program`, so that its process is the program's own.
fn as_user(user: Option<&User>, program: &Path) -> Command {
    let Some(user) = user else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            &user.name,
            "--regid",
            &user.group.to_string(),
            "--clear-groups",
        ])
        .arg(program);
    command
}

/// One of PostgreSQL's programs: of the newest version Debian has installed, or from the search path.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse::<u32>().ok()?, version.path())))
        .map(|(version, folder)| (version, folder.join("bin").join(name)))
        .filter(|(_, program)| program.exists())
        .max();
    newest.map_or_else(|| PathBuf::from(name), |(_, program)| program)
}

//! Drives a server process, over TLS, from connections of their own, and says what it can do.
//!
//! ```text
//! cargo run --release -p sottovoce-benches --bin load -- --store sqlite|postgres
//! ```
//!
//! The server is `sottovoce-server` as its operators run it, with an empty database in a temporary folder.
//! For PostgreSQL, a cluster of the installed version is started there too, with the settings it comes with:
//! every commit is synced. Rows come as they are done, one a line:
//!
//! ```text
//! ROW name=… msgs_per_s=… key=value …
//! ```
//!
//! | row | what happens |
//! |---|---|
//! | `send_300B_1` … `send_4KiB_512` | Up to 16 pairs of devices, each device with a connection and a `Connect` stream of its own. A message is sent, stored durably, receipted, delivered and acknowledged; the number is how many, of all pairs together, still lack receipt or delivery at any time |
//! | `send_unary_300B_128` | The same by `Send`, `Subscribe` and `Acknowledge`, as a browser does it |
//! | `fill`, `drain` | Messages of 300 bytes are stored, 128 outstanding, for 16 devices that are away; then all of these connect, and the row ends when the last acknowledgement is durable |
//! | `fanout_1000` | Posts of 300 bytes to a channel with 1,000 members, each with a stream, eight posts under way; `fanout_1000_1` with one. `msgs_per_s` counts deliveries |
//! | `idle` | 10,000 TLS connections with a stream each, on which nothing happens |
//! | `accounts_…`, `stored_…` | With `--scaling` only: `send_300B_128` among so many accounts, the same number of messages stored for all of them in turn (`_fill`), and `send_300B_128` beside so many stored messages |
//!
//! | key | what it says |
//! |---|---|
//! | `msgs_per_s` | Messages of which receipt and delivery came while it was measured |
//! | `ack_p50_ms`, `ack_p99_ms` | From handing a message over to its receipt, which the server gives only after a durable commit |
//! | `delivery_p50_ms`, `delivery_p99_ms` | From handing a message over until its recipient has it |
//! | `server_cpu_us_per_msg` | CPU time of the server's process, user and kernel, for one message; `db_cpu_us_per_msg` that of PostgreSQL's processes, `client_cpu_us_per_msg` that of this program, which is on the same cores |
//! | `rss_mib` | Resident memory of the server's process at the end |
//! | `kib_per_idle_stream` | What it grew by for each of the idle streams, ten seconds after the last was opened |
//! | `fsync_per_s`, `fsync_p50_ms` | What the disk does: writes of 4 KiB into a file that is there, each followed by fdatasync, one at a time, right before the row and right after it. Disks of virtual machines vary by factors within minutes, so no durable figure means anything without it |
//!
//! It checks what it measures: every message arrives whole, once, and, over one stream, in the order it was
//! sent; afterwards the mailbox is empty. Anything else, and any refusal, ends the run with an error.
//! Ciphertexts are random bytes made beforehand, so none of the time is cryptography's.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a load that meets an error is supposed to stop there, and its result is what it prints"
)]

mod backlog;
mod calls;
mod device;
mod fanout;
mod idle;
mod letters;
mod link;
mod measure;
mod meter;
mod options;
mod postgres;
mod program;
mod row;
mod scaling;
mod sends;
mod tls;
mod world;

use clap::Parser;

use crate::fanout::Fanout;
use crate::link::Way;
use crate::options::Options;
use crate::row::Row;
use crate::sends::Sends;
use crate::world::{Setup, World};

fn main() {
    let options = Options::parse();
    let setup = options.setup();
    // Ten thousand connections, in this process and in the server's, which inherits the limit.
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    // One thread: what this program takes, the server does not have.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::select! {
            () = run(&options, &setup, files) => {}
            stopped = tokio::signal::ctrl_c() => stopped.unwrap(),
        }
    });
}

async fn run(options: &Options, setup: &Setup, files: u64) {
    if options.scaling {
        let (accounts, stored) = options.sizes();
        scaling::accounts(setup, accounts).await;
        return scaling::stored(setup, stored).await;
    }
    let world = World::start(setup).await;
    sends(options, &world).await;
    if options.wants("fill") || options.wants("drain") {
        let (filled, drained) = backlog::measure(&world, options.backlog()).await;
        println!("{}", filled.row("fill"));
        println!("{}", drained.row("drain"));
    }
    world.stop().await;
    fanout(options, setup).await;
    if options.wants("idle") {
        println!(
            "{}",
            idle::measure(World::start(setup).await, options.streams(files)).await
        );
    }
}

async fn sends(options: &Options, world: &World) {
    for (size, len) in [("300B", 300), ("4KiB", 4096)] {
        for outstanding in [1, 16, 128, 512] {
            let way = Way::Stream;
            let sends = Sends {
                way,
                len,
                outstanding,
            };
            send(options, world, &format!("send_{size}_{outstanding}"), sends).await;
        }
    }
    let sends = Sends {
        way: Way::Calls,
        len: 300,
        outstanding: 128,
    };
    send(options, world, "send_unary_300B_128", sends).await;
}

async fn send(options: &Options, world: &World, name: &str, sends: Sends) {
    if options.wants(name) {
        println!("{}", sends.measure(world).await.row(name));
    }
}

async fn fanout(options: &Options, setup: &Setup) {
    for (name, outstanding) in [("fanout_1000", 8), ("fanout_1000_1", 1)] {
        if !options.wants(name) {
            continue;
        }
        let world = World::start(setup).await;
        let members = options.members();
        match Fanout::found(&world, members).await {
            Some(fanout) => {
                let measured = fanout.measure(&world, outstanding).await;
                println!("{}", fanout::row(name, members, &measured));
            }
            None => println!("{}", Row::new(name).key("skipped", "the_server_has_no_channels")),
        }
        world.stop().await;
    }
}

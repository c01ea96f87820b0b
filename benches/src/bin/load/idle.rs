//! Streams on which nothing happens, each over a connection of its own: what they cost in memory.

use std::time::Duration;

use futures_util::stream::{StreamExt, iter};
use tokio::time::{sleep, timeout};

use crate::calls::join;
use crate::device::Device;
use crate::letters::Writer;
use crate::link::{Link, Way};
use crate::measure::Plan;
use crate::row::Row;
use crate::world::World;

/// Connections being made at one time.
const AT_ONCE: usize = 32;

/// A stream of so many is sent a message, to see that they are alive.
const TRIED: usize = 100;

/// Joins `streams` devices, restarts the server so that nothing of that is in its memory, and opens their
/// streams.
pub(crate) async fn measure(mut world: World, streams: usize) -> Row {
    let mut devices = join(&world.endpoint, streams + 2).await;
    world.restart().await;
    let sender = devices.pop().unwrap();
    // What the first stream needs, and no other does, is not counted.
    let first = open(&world, devices.pop().unwrap()).await;
    settle(&world).await;
    let before = world.meter.rss_kib();
    let used = world.meter.usage();
    let tried: Vec<Writer> = devices
        .iter()
        .step_by(streams.div_ceil(TRIED))
        .map(writer)
        .collect();
    let mut links: Vec<Link> = iter(devices)
        .map(|device| open(&world, device))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let opening = world.meter.usage() - used;
    settle(&world).await;
    let after = world.meter.rss_kib();
    let used = world.meter.usage();
    settle(&world).await;
    let idling = world.meter.usage() - used;
    all_alive(&world, sender, tried, &mut links, streams.div_ceil(TRIED)).await;
    drop((first, links));
    let plan = world.plan;
    world.stop().await;
    let per_stream = after.saturating_sub(before) as f64 / streams as f64;
    Row::new("idle")
        .key("streams", streams)
        .number("kib_per_idle_stream", per_stream, 1)
        .rss(after)
        .number(
            "server_cpu_us_per_opening",
            opening.server.as_secs_f64() * 1e6 / streams as f64,
            0,
        )
        .number(
            "server_cpu_percent",
            idling.server.as_secs_f64() / settling(plan).as_secs_f64() * 100.0,
            1,
        )
}

async fn open(world: &World, device: Device) -> Link {
    Link::open(&world.endpoint, device, Way::Stream)
        .await
        .empty()
        .await
}

fn writer(device: &Device) -> Writer {
    Writer::to([device], 300)
}

fn settling(plan: Plan) -> Duration {
    Duration::from_secs(if plan.quick { 1 } else { 10 })
}

/// Lets buffers that were of use only in the beginning go.
async fn settle(world: &World) {
    sleep(settling(world.plan)).await;
}

async fn all_alive(world: &World, sender: Device, tried: Vec<Writer>, links: &mut [Link], step: usize) {
    let mut out = Link::sender(&world.endpoint, sender, Way::Stream).await;
    for (writer, link) in tried.iter().zip(links.iter_mut().step_by(step)) {
        out.send(writer.letter(0));
        let delivered = timeout(Duration::from_secs(10), async {
            out.receipt().await;
            link.envelopes().await
        });
        let envelopes = delivered
            .await
            .unwrap_or_else(|_| panic!("an idle stream is dead"));
        assert_eq!(envelopes.len(), 1);
        envelopes
            .iter()
            .for_each(|envelope| assert_eq!(writer.read(&envelope.ciphertext), 0));
    }
}

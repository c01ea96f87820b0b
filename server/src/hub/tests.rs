use std::time::Duration;

use super::inbox::MAX_FRESH_LEN;
use super::*;

const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);
const OTHER: DeviceId = DeviceId::from_bytes([2; 16]);
const GROUNDS: Grounds = Grounds {
    session: [1; 16],
    breaks: 0,
};

fn sit(hub: &Hub, device: DeviceId, epoch: i64) -> Result<Seat, HubFull> {
    Ok(hub.reserve(device)?.sit(epoch, GROUNDS))
}

async fn told(seat: &Seat) -> Inbound {
    tokio::time::timeout(Duration::from_secs(5), seat.inbound())
        .await
        .unwrap()
}

fn envelope(sequence: i64, size: usize) -> StoredEnvelope {
    StoredEnvelope {
        sequence,
        size,
        ..StoredEnvelope::default()
    }
}

#[test]
fn a_seat_is_gone_once_its_stream_is() {
    let hub = Hub::new(10, Outbox::nowhere());
    drop(sit(&hub, DEVICE, 0).unwrap());
    assert_eq!(hub.streams(), 0);
}

#[tokio::test]
async fn a_displaced_stream_does_not_take_its_successors_seat_away() {
    let hub = Hub::new(10, Outbox::nowhere());
    let older = sit(&hub, DEVICE, 0).unwrap();
    let newer = sit(&hub, DEVICE, 0).unwrap();
    assert_eq!(older.ended().await, ErrorReason::StreamDisplaced);
    drop(older);
    assert_eq!(hub.streams(), 1);
    hub.tell(vec![News::Look(DEVICE)]);
    assert!(told(&newer).await.look);
}

#[tokio::test]
async fn the_newer_of_two_streams_stays_whichever_comes_first() {
    let hub = Hub::new(10, Outbox::nowhere());
    let newer = sit(&hub, DEVICE, 2).unwrap();
    let older = sit(&hub, DEVICE, 1).unwrap();
    assert_eq!(older.ended().await, ErrorReason::StreamDisplaced);
    drop(older);
    hub.tell(vec![News::Look(DEVICE)]);
    assert!(told(&newer).await.look);
    assert!(newer.inbox.end.lock().unwrap().is_none());
}

#[test]
fn a_full_hub_still_lets_a_device_replace_its_own_stream() {
    let hub = Hub::new(1, Outbox::nowhere());
    let first = sit(&hub, DEVICE, 0).unwrap();
    assert_eq!(sit(&hub, OTHER, 0).unwrap_err(), HubFull);
    let _second = sit(&hub, DEVICE, 0).unwrap();
    drop(first);
    assert_eq!(sit(&hub, OTHER, 0).unwrap_err(), HubFull);
}

#[test]
fn room_that_is_reserved_is_nobody_elses_and_displaces_nobody() {
    let hub = Hub::new(2, Outbox::nowhere());
    let sitting = sit(&hub, DEVICE, 1).unwrap();
    let places = [hub.reserve(DEVICE).unwrap(), hub.reserve(OTHER).unwrap()];
    let third = DeviceId::from_bytes([3; 16]);
    assert_eq!(hub.reserve(third).unwrap_err(), HubFull);
    assert!(sitting.inbox.end.lock().unwrap().is_none());
    assert_eq!(hub.streams(), 1);
    // It stays its own when the older stream goes meanwhile.
    drop(sitting);
    assert_eq!(hub.reserve(third).unwrap_err(), HubFull);
    let seats = places.map(|place| place.sit(2, GROUNDS));
    assert_eq!(hub.streams(), 2);
    drop(seats);
    assert!(lock(&hub.seats).reserved.is_empty());
    assert!(hub.reserve(third).is_ok());
}

#[tokio::test]
async fn news_before_the_wait_is_not_lost() {
    let hub = Hub::new(1, Outbox::nowhere());
    let seat = sit(&hub, DEVICE, 0).unwrap();
    hub.tell(vec![News::Look(DEVICE)]);
    assert!(told(&seat).await.look);
}

#[tokio::test]
async fn a_stream_that_takes_nothing_is_handed_no_more_than_it_may_hold() {
    let hub = Hub::new(1, Outbox::nowhere());
    let seat = sit(&hub, DEVICE, 0).unwrap();
    for sequence in 1..=100 {
        hub.tell(vec![News::Fresh(DEVICE, envelope(sequence, MAX_FRESH_LEN / 4))]);
    }
    let inbound = told(&seat).await;
    assert!(inbound.look);
    let handed: Vec<_> = inbound.fresh.iter().map(|envelope| envelope.sequence).collect();
    assert_eq!(handed, [1, 2, 3, 4]);
}

#[tokio::test]
async fn nothing_is_handed_over_behind_a_gap() {
    let hub = Hub::new(1, Outbox::nowhere());
    let seat = sit(&hub, DEVICE, 0).unwrap();
    hub.tell(vec![News::Look(DEVICE), News::Fresh(DEVICE, envelope(7, 1))]);
    let inbound = told(&seat).await;
    assert!(inbound.look && inbound.fresh.is_empty());
}

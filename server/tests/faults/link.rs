//! A TCP link that fails on purpose: slow, still, cut, half closed, or dead to newcomers.
//!
//! TCP itself never loses or doubles a byte, so neither does this. A lost answer is a link that stands
//! still on its way back and is then cut; a doubled request is its sender's to make.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What happens to bytes in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    #[default]
    Open,
    /// Every piece takes this long.
    Slow(Duration),
    /// Nothing moves.
    Still,
    /// The end is passed on although there is more.
    Closed,
}

/// How the link is just now.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    there: Way,
    back: Way,
    /// Newcomers are turned away.
    dead: bool,
    /// Connections of another number are cut.
    number: u64,
    /// Those of an older age stand still for good.
    age: u64,
    to: Option<SocketAddr>,
}

/// A link to a server, which can be moved to another. Ends when dropped.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    course: Arc<watch::Sender<Course>>,
    _accepting: AbortOnDropHandle<()>,
}

impl Link {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let course = Arc::new(watch::Sender::new(Course {
            to: Some(server),
            ..Course::default()
        }));
        Self {
            address: listener.local_addr().unwrap(),
            _accepting: AbortOnDropHandle::new(tokio::spawn(accept(listener, course.clone()))),
            course,
        }
    }

    /// Leads to another server from now on; what is connected is cut.
    pub(crate) fn move_to(&self, server: SocketAddr) {
        self.course.send_modify(|course| {
            course.to = Some(server);
            course.number += 1;
        });
    }

    pub(crate) fn set(&self, there: Way, back: Way) {
        self.course.send_modify(|course| {
            course.there = there;
            course.back = back;
        });
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.course.send_modify(|course| course.number += 1);
    }

    /// Cuts every connection, and lets nobody in.
    pub(crate) fn kill(&self) {
        self.course.send_modify(|course| {
            course.number += 1;
            course.dead = true;
        });
    }

    /// Loses every connection without a word: neither end hears anything any more.
    pub(crate) fn forget(&self) {
        self.course.send_modify(|course| course.age += 1);
    }

    /// As if nothing had been, but for what was cut.
    pub(crate) fn heal(&self) {
        self.course.send_modify(|course| {
            (course.there, course.back) = (Way::Open, Way::Open);
            course.dead = false;
        });
    }
}

async fn accept(listener: TcpListener, course: Arc<watch::Sender<Course>>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((near, _)) = listener.accept().await else {
            continue;
        };
        while connections.try_join_next().is_some() {}
        let now = *course.borrow();
        if !now.dead {
            connections.spawn(connect(near, course.subscribe(), now));
        }
    }
}

async fn connect(near: TcpStream, mut course: watch::Receiver<Course>, begun: Course) {
    let Ok(far) = TcpStream::connect(begun.to.unwrap()).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let both = async {
        tokio::join!(
            pass(near_in, far_out, course.clone(), begun.age, |course| course.there),
            pass(far_in, near_out, course.clone(), begun.age, |course| course.back),
        )
    };
    let mut watching = course.clone();
    let cut = watching.wait_for(|now| now.number != begun.number);
    // Whoever ends first, both ends are dropped: that cuts them.
    tokio::select! {
        _ = both => {}
        _ = cut => {}
    }
    course.mark_unchanged();
}

/// Passes bytes on until their end.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut course: watch::Receiver<Course>,
    age: u64,
    way: fn(&Course) -> Way,
) {
    let way = |course: &Course| {
        if course.age == age {
            way(course)
        } else {
            Way::Still
        }
    };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if course.wait_for(|now| way(now) != Way::Still).await.is_err() {
            return;
        }
        let now = way(&course.borrow());
        if now == Way::Closed {
            break;
        }
        let changed = course.changed();
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = changed => continue,
        };
        let Ok(length @ 1..) = read else { break };
        if let Way::Slow(time) = now {
            tokio::time::sleep(time).await;
        }
        // What was read while the link was open may still be caught by a standstill.
        if course.wait_for(|now| way(now) != Way::Still).await.is_err() {
            return;
        }
        let Some(piece) = buffer.get(..length) else { return };
        if to.write_all(piece).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

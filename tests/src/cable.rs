//! A cable that stories cut, freeze and mend: a TCP relay between a data plane and a control plane. It looks into nothing.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How a cable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Bytes pass both ways.
    Sound,
    /// What was connected is broken, and so is whatever connects.
    Cut,
    /// Nothing passes, and nobody is told: connections stay open. What waited passes once it is sound again.
    Frozen,
    /// Bytes reach the other end, its answers do not come back.
    Deaf,
}

/// What relays see. A cut counts however soon the cable is mended.
#[derive(Clone, Copy)]
struct State {
    condition: Condition,
    cuts: u64,
}

/// A relay from a port of its own to another one. Dropped, it is cut for good.
pub struct Cable {
    port: u16,
    state: watch::Sender<State>,
    _until_dropped: DropGuard,
}

impl Cable {
    /// A sound cable to `target` on this machine.
    pub async fn to(target: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (state, seen) = watch::channel(State { condition: Condition::Sound, cuts: 0 });
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = accept(listener, (Ipv4Addr::LOCALHOST, target).into(), seen) => {}
            }
        });
        Ok(Self { port, state, _until_dropped: stop.drop_guard() })
    }

    /// Where to connect instead of the target.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes how it is, for what is connected and for what connects.
    pub fn set(&self, condition: Condition) {
        self.state.send_modify(|state| {
            state.condition = condition;
            state.cuts += u64::from(condition == Condition::Cut);
        });
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: watch::Receiver<State>) {
    while let Ok((near, _)) = listener.accept().await {
        let State { condition, cuts } = *state.borrow();
        if condition != Condition::Cut {
            tokio::spawn(relay(near, target, state.clone(), cuts));
        }
    }
}

/// Passes bytes both ways until the cable is cut once more than `cuts` times.
async fn relay(near: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>, cuts: u64) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let (from_near, to_near) = near.into_split();
    let (from_far, to_far) = far.into_split();
    let (there, back) = (state.clone(), state.clone());
    let passing = async {
        tokio::join!(
            pump(from_near, to_far, there, |condition| condition == Condition::Frozen),
            pump(from_far, to_near, back, |condition| condition != Condition::Sound),
        )
    };
    tokio::select! {
        _ = passing => {}
        // An error is the end of the cable.
        _ = state.wait_for(|state| state.cuts > cuts) => {}
    }
}

/// Passes bytes on until one end closes. What was read while `held` waits.
async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    held: impl Fn(Condition) -> bool,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if state.wait_for(|state| !held(state.condition)).await.is_err() {
            return;
        }
        let passed = to.write_all(buffer.get(..read).unwrap_or_default()).await;
        if passed.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::ensure;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_cable_passes_holds_and_breaks() -> anyhow::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let cable = Cable::to(listener.local_addr()?.port()).await?;
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, cable.port()));
        let mut near = connect().await?;
        let (mut far, _) = listener.accept().await?;
        let mut byte = [0];
        near.write_all(b"a").await?;
        far.read_exact(&mut byte).await?;

        cable.set(Condition::Deaf);
        far.write_all(b"b").await?;
        near.write_all(b"c").await?;
        far.read_exact(&mut byte).await?;
        ensure!(byte == *b"c", "what is sent arrives");
        ensure!(timeout(Duration::from_millis(50), near.read_exact(&mut byte)).await.is_err(), "an answer came back");
        cable.set(Condition::Sound);
        near.read_exact(&mut byte).await?;
        ensure!(byte == *b"b", "what waited passes");

        cable.set(Condition::Deaf);
        far.write_all(b"d").await?;
        cable.set(Condition::Cut);
        cable.set(Condition::Sound);
        ensure!(!matches!(near.read(&mut byte).await, Ok(1..)), "a cable cut and mended at once still passes bytes");
        cable.set(Condition::Cut);

        let mut refused = connect().await?;
        ensure!(!matches!(refused.read(&mut byte).await, Ok(1..)), "a cut cable takes connections");
        Ok(())
    }
}

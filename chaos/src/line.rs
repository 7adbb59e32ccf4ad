//! What can happen to bytes on their way from a server to its client, whatever they say.

use std::{io, time::Duration};

use loomgate_bench::statistics::Dice;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

/// How many bytes of a slow line come at a time, and the pause behind them.
const DROP: (usize, Duration) = (7, Duration::from_millis(1));

/// A line that breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is reset after so many bytes.
    Reset(usize),
    /// Nothing comes any more after so many bytes, and it stays open.
    HalfOpen(usize),
    /// A few bytes at a time.
    SlowDrip,
    /// It ends after so many bytes, in the midst of what they say.
    Truncated(usize),
}

/// Their names, in the order of [`Fault::index`].
pub(crate) const FAULTS: [&str; 4] = [
    "connection reset",
    "half open, no answer",
    "slow drip",
    "truncated",
];

/// How a line came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Reset,
    Silent,
    Closed,
}

impl Fault {
    /// Draws one, which comes after `after` bytes if it comes at a certain place.
    pub(crate) fn draw(dice: &mut Dice, after: usize) -> Self {
        match dice.below(FAULTS.len()) {
            0 => Self::Reset(after),
            1 => Self::HalfOpen(after),
            2 => Self::SlowDrip,
            _ => Self::Truncated(after),
        }
    }

    /// Its place in [`FAULTS`].
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Reset(_) => 0,
            Self::HalfOpen(_) => 1,
            Self::SlowDrip => 2,
            Self::Truncated(_) => 3,
        }
    }

    /// Hands bytes on, before which `passed` others were. None: the line goes on.
    pub(crate) async fn pass(
        self,
        to: &mut (impl AsyncWrite + Unpin),
        passed: usize,
        bytes: &[u8],
    ) -> io::Result<Option<End>> {
        let (after, end) = match self {
            Self::Reset(after) => (after, End::Reset),
            Self::HalfOpen(after) => (after, End::Silent),
            Self::Truncated(after) => (after, End::Closed),
            Self::SlowDrip => {
                let (size, pause) = DROP;
                for drop in bytes.chunks(size) {
                    to.write_all(drop).await?;
                    tokio::time::sleep(pause).await;
                }
                return Ok(None);
            }
        };
        if passed + bytes.len() <= after {
            to.write_all(bytes).await?;
            return Ok(None);
        }
        to.write_all(&bytes[..after.saturating_sub(passed)]).await?;
        Ok(Some(end))
    }
}

impl End {
    /// Lets the client have it; the line is closed when it is dropped.
    pub(crate) async fn befall(self, client: &TcpStream) -> io::Result<()> {
        match self {
            Self::Reset => socket2::SockRef::from(client).set_linger(Some(Duration::ZERO)),
            Self::Silent => {
                left(client).await;
                Ok(())
            }
            Self::Closed => Ok(()),
        }
    }
}

/// Waits until a client that says nothing more has left; what it says is lost.
pub(crate) async fn left(client: &TcpStream) {
    let mut bytes = [0; 1_024];
    loop {
        if client.readable().await.is_err() {
            return;
        }
        match client.try_read(&mut bytes) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn passed(fault: Fault, parts: &[&[u8]]) -> (Vec<u8>, Option<End>) {
        let (mut out, mut count) = (Vec::new(), 0);
        for part in parts {
            if let Some(end) = fault.pass(&mut out, count, part).await.unwrap() {
                return (out, Some(end));
            }
            count += part.len();
        }
        (out, None)
    }

    #[tokio::test]
    async fn a_line_breaks_after_so_many_bytes() {
        let parts: [&[u8]; 2] = [b"abcde", b"fghij"];
        for (fault, end) in [
            (Fault::Reset(7), End::Reset),
            (Fault::HalfOpen(7), End::Silent),
            (Fault::Truncated(7), End::Closed),
        ] {
            let (out, ended) = passed(fault, &parts).await;
            assert_eq!((&*out, ended), (&b"abcdefg"[..], Some(end)));
        }
        assert_eq!(passed(Fault::Reset(0), &parts).await.0, b"");
        let (out, ended) = passed(Fault::Reset(10), &parts).await;
        assert_eq!((&*out, ended), (&b"abcdefghij"[..], None));
        let (out, ended) = passed(Fault::SlowDrip, &parts).await;
        assert_eq!((&*out, ended), (&b"abcdefghij"[..], None));
    }

    #[test]
    fn all_faults_are_drawn() {
        let mut dice = Dice::new(1);
        let mut kinds = [0; FAULTS.len()];
        for _ in 0..400 {
            kinds[Fault::draw(&mut dice, 5).index()] += 1;
        }
        assert!(kinds.iter().all(|count| *count > 60), "{kinds:?}");
    }
}

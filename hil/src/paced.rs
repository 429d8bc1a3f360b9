//! A line with a baud rate: bytes pass over TCP no faster than they would over the wire.
//!
//! A pseudo terminal passes bytes on at once, whatever baud rate is set on it. With this relay behind one (`socat` joins
//! the two), whoever uses the terminal sees the times of a real line.

use crate::tasks::Tasks;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

/// Bits of one character: start, eight of data, parity or a second stop bit, stop.
const BITS_PER_CHAR: u32 = 11;
/// Most bytes under way in one direction, as many as the buffer of a serial port.
const MAX_HELD: usize = 4096;

/// A relay that paces.
#[derive(Debug)]
pub struct Paced {
    address: SocketAddr,
    _tasks: Tasks,
}

impl Paced {
    /// Listens on 127.0.0.1, on a port the system chooses; every connection is relayed to `to`, or, without one, to a
    /// line on which nobody answers.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(to: Option<SocketAddr>, baud: u32) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let char_time = Duration::from_secs(1) * BITS_PER_CHAR / baud.max(1);
        let mut tasks = Tasks::new();
        tasks.spawn(async move {
            let mut lines = tokio::task::JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                lines.spawn(line(near, to, char_time));
            }
        });
        Ok(Self { address, _tasks: tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn line(near: TcpStream, to: Option<SocketAddr>, char_time: Duration) -> io::Result<()> {
    near.set_nodelay(true)?;
    let (mut near_read, near_write) = near.into_split();
    let Some(to) = to else {
        let mut bytes = [0; 256];
        while near_read.read(&mut bytes).await? > 0 {}
        return Ok(());
    };
    let far = TcpStream::connect(to).await?;
    far.set_nodelay(true)?;
    let (far_read, far_write) = far.into_split();
    // When one side closes, so does the other.
    tokio::select! {
        ended = pace(near_read, far_write, char_time) => ended,
        ended = pace(far_read, near_write, char_time) => ended,
    }
}

/// Passes bytes on, each when its last bit would be over the wire.
async fn pace(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, char_time: Duration) -> io::Result<()> {
    let mut held: VecDeque<(Instant, u8)> = VecDeque::new();
    let mut free = Instant::now();
    let mut bytes = [0; 256];
    loop {
        let next = held.front().map(|(due, _)| *due);
        tokio::select! {
            read = from.read(&mut bytes), if held.len() < MAX_HELD => {
                let n = read?;
                if n == 0 {
                    return Ok(());
                }
                free = free.max(Instant::now());
                for byte in &bytes[..n] {
                    free += char_time;
                    held.push_back((free, *byte));
                }
            }
            () = sleep_until(next.unwrap_or(free)), if next.is_some() => {
                let now = Instant::now();
                let due = held.iter().take_while(|(due, _)| *due <= now).count();
                let due: Vec<u8> = held.drain(..due).map(|(_, byte)| byte).collect();
                to.write_all(&due).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_take_their_time_and_none_is_lost() {
        let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = echo.local_addr().unwrap();
        let mut tasks = Tasks::new();
        tasks.spawn(async move {
            let (mut stream, _) = echo.accept().await.unwrap();
            let mut bytes = [0; 48];
            stream.read_exact(&mut bytes).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            std::future::pending::<()>().await;
        });
        let paced = Paced::start(Some(to), 9600).await.unwrap();
        let mut near = TcpStream::connect(paced.address()).await.unwrap();
        let sent: Vec<u8> = (0..48).collect();
        let began = Instant::now();
        near.write_all(&sent).await.unwrap();
        let mut got = [0; 48];
        near.read_exact(&mut got).await.unwrap();
        // 48 characters of 11 bits at 9600 baud are 55 ms, there and back.
        assert!(began.elapsed() >= Duration::from_millis(110), "{:?}", began.elapsed());
        assert_eq!(got.as_slice(), sent);
    }
}

//! A TCP connection to the field that notices when its other side has vanished.

use rustix::net::sockopt;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// Longest wait for a connection: the second SYN is sent after 1 s, the third after 3 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle for so long, the other side is asked whether it is still there.
const PROBE_AFTER: Duration = Duration::from_secs(5);
/// And again after so long each time.
const PROBE_EVERY: Duration = Duration::from_secs(3);
/// So many times.
const PROBES: u32 = 3;
/// Bytes that nobody confirms for so long mean the same.
const UNCONFIRMED: Duration = Duration::from_secs(10);

/// Connects. A peer that vanishes without a word (power, cable) is noticed within 14 s, whether or not anything is
/// asked of it: the connection then breaks.
pub(in crate::southbound) async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port))).await {
        Ok(dialled) => dialled?,
        Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 5 s")),
    };
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(&stream, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(&stream, PROBES)?;
    sockopt::set_tcp_user_timeout(&stream, u32::try_from(UNCONFIRMED.as_millis()).unwrap_or(u32::MAX))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn m10_a_vanished_peer_is_noticed_within_15_s() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let stream = dial("127.0.0.1", listener.local_addr().unwrap().port()).await.unwrap();
        assert!(sockopt::get_socket_keepalive(&stream).unwrap());
        let idle = sockopt::get_tcp_keepidle(&stream).unwrap();
        let every = sockopt::get_tcp_keepintvl(&stream).unwrap();
        let times = sockopt::get_tcp_keepcnt(&stream).unwrap();
        assert!(idle + every * times < Duration::from_secs(15), "{idle:?} {every:?} {times}");
        let unconfirmed = sockopt::get_tcp_user_timeout(&stream).unwrap();
        assert!((1..15_000).contains(&unconfirmed), "{unconfirmed}");
        assert!(stream.nodelay().unwrap());
    }
}

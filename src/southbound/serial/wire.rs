//! Opens what carries a line's bytes: a serial port, held by one program at a time, or a converter's TCP connection.

use super::line::Wire;
use crate::config::{Parity, Serial, SerialPlace};
use crate::southbound::polled::{ReadError, dial};
use rustix::fs::{Mode, OFlags};
use serial2_tokio::{CharSize, FlowControl, SerialPort, StopBits};
use std::fs::{File, TryLockError};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Opens the bytes of a line.
///
/// # Errors
/// [`ReadError::Connect`]; also when another program has locked the serial port.
pub(in crate::southbound) async fn open(settings: &Serial) -> Result<Box<dyn Wire>, ReadError> {
    let failed = |endpoint: String| move |cause| ReadError::Connect { endpoint, cause };
    match &settings.place {
        SerialPlace::Port { path, parity, two_stop_bits } => {
            let port = Port::open(path, settings.baud, *parity, *two_stop_bits);
            Ok(Box::new(port.map_err(failed(path.clone()))?))
        }
        SerialPlace::Converter { host, port } => {
            let stream = dial(host, *port).await;
            Ok(Box::new(stream.map_err(failed(format!("{host}:{port}")))?))
        }
    }
}

/// A serial port that no other program has which locks its ports, as this one, picocom and minicom do (`flock`).
struct Port {
    port: SerialPort,
    lock: File,
}

impl Port {
    fn open(path: &str, baud: u32, parity: Parity, two_stop_bits: bool) -> io::Result<Self> {
        // Before the port's settings are touched: they may be those of another program at work.
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let lock = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                let taken = "another program has this port: stop it (the gateway: systemctl stop schoolgate) \
                             or use another port";
                io::Error::new(io::ErrorKind::ResourceBusy, taken)
            }
            TryLockError::Error(error) => error,
        })?;
        let port = SerialPort::open(path, |mut settings: serial2_tokio::Settings| {
            settings.set_raw();
            settings.set_baud_rate(baud)?;
            settings.set_char_size(CharSize::Bits8);
            settings.set_stop_bits(if two_stop_bits { StopBits::Two } else { StopBits::One });
            settings.set_parity(match parity {
                Parity::None => serial2_tokio::Parity::None,
                Parity::Even => serial2_tokio::Parity::Even,
                Parity::Odd => serial2_tokio::Parity::Odd,
            });
            settings.set_flow_control(FlowControl::None);
            Ok(settings)
        })?;
        Ok(Self { port, lock })
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // Closing alone leaves the lock to a copy that a process being started at this moment has.
        self.lock.unlock().ok();
    }
}

impl AsyncRead for Port {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.port).poll_read(cx, buf)
    }
}

impl AsyncWrite for Port {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.port).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.port).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.port).poll_shutdown(cx)
    }
}

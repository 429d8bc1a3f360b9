//! Mail: handed to one server within the five seconds of a try; each recipient is judged alone.

use super::reply::{MAX_REPLY, Scrub};
use super::robot::per_minute;
use super::several::Several;
use super::wording::{subject, text};
use super::{Means, Message, Notifier, NotifierKind, NotifyError, Rate, Told, Verdict};
use crate::config::{Channel, Languages, MailTls, Site, Smtp, Tls};
use crate::model::{ChannelId, Priority};
use crate::runtime::Chain;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Code, Severity};
use lettre::{Address, transport::smtp};
use rumqttc::tokio_rustls::{self, TlsConnector};
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Mail.
pub const KIND: NotifierKind = NotifierKind {
    name: "smtp",
    doc: "电子邮件。E-mail by an SMTP server.",
    example: r#"host = "smtp.exmail.qq.com"
tls = "implicit"
username = "schoolgate@school.example.cn"
password_file = "secrets/mail"
from = "校门网关 <schoolgate@school.example.cn>"
to = ["office@school.example.cn", "security@school.example.cn"]
"#,
};

/// A mailbox.
pub(super) struct Post {
    id: ChannelId,
    languages: Languages,
    site: Arc<Site>,
    smtp: Smtp,
    from: Mailbox,
    to: Vec<Address>,
    starttls: Option<TlsParameters>,
    implicit: Option<TlsConnector>,
    scrub: Scrub,
    said: Option<String>,
    several: Several,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Post")
            .field("host", &self.smtp.host)
            .field("port", &self.smtp.port)
            .finish_non_exhaustive()
    }
}

/// Why there is no mail, or not for one of them.
struct Refusal(Verdict);

impl Post {
    pub(super) fn new(channel: &Channel, smtp: &Smtp, means: &Means) -> Result<Self, NotifyError> {
        let wrong = |source: Box<dyn std::error::Error + Send + Sync>| NotifyError::Client {
            id: channel.id.clone(),
            source,
        };
        let address = |text: &str| text.parse::<Address>().map_err(|error| wrong(error.into()));
        let to = smtp.to.iter().map(|to| address(to.expose())).collect::<Result<_, _>>()?;
        let (mut starttls, mut implicit) = (None, None);
        match &smtp.tls {
            MailTls::None => {}
            MailTls::StartTls(tls) => {
                starttls = Some(parameters(&smtp.host, tls).map_err(|error| wrong(error.into()))?);
            }
            MailTls::Implicit(tls) => {
                let config = crate::runtime::tls::client(tls.ca_pem.as_deref());
                let config = config.map_err(|error| wrong(error.into()))?;
                implicit = Some(TlsConnector::from(Arc::new(config)));
            }
        }
        let secrets = smtp.login.iter().map(|login| &login.password).chain(&smtp.to);
        Ok(Self {
            id: channel.id.clone(),
            languages: channel.languages,
            site: Arc::clone(&means.site),
            from: smtp.from.parse::<Mailbox>().map_err(|error| wrong(error.into()))?,
            to,
            starttls,
            implicit,
            scrub: Scrub::of(secrets),
            said: None,
            several: Several::of(&channel.id),
            smtp: smtp.clone(),
        })
    }

    fn failed(&self, doing: &str, error: &(dyn std::error::Error + 'static)) -> Refusal {
        Refusal(Verdict::Failed { why: self.scrub.line(&format!("{doing}: {}", Chain(error))) })
    }

    /// What an error of the conversation means.
    fn judged(&self, doing: &str, error: &smtp::Error) -> Refusal {
        let Some(code) = error.status() else { return self.failed(doing, error) };
        let why = self.scrub.line(&format!("{doing}: {} {}", code, reason(error)));
        Refusal(judge(code, why))
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Refusal> {
        let (host, port) = (self.smtp.host.as_str(), self.smtp.port);
        let place = format!("connecting to mail server {host}:{port}");
        let tcp = TcpStream::connect((host, port)).await.map_err(|error| self.failed(&place, &error))?;
        let (own, peer) = tcp
            .local_addr()
            .and_then(|own| Ok((own, tcp.peer_addr()?)))
            .map_err(|error| self.failed(&place, &error))?;
        let hello = match own {
            SocketAddr::V4(own) => ClientId::Ipv4(*own.ip()),
            SocketAddr::V6(own) => ClientId::Ipv6(*own.ip()),
        };
        let wire = match &self.implicit {
            None => Wire::Plain(tcp),
            Some(connector) => {
                let doing = format!("TLS to mail server {host}:{port}");
                let name =
                    ServerName::try_from(host.to_owned()).map_err(|error| self.failed(&doing, &error))?;
                let tls = connector.connect(name, tcp).await.map_err(|error| self.failed(&doing, &error))?;
                Wire::Tls(Box::new(tls))
            }
        };
        let wire = Box::new(Bounded { wire, peer, left: MAX_REPLY });
        let connected = AsyncSmtpConnection::connect_with_transport(wire, &hello).await;
        let mut connection = connected.map_err(|error| self.judged("greeting the mail server", &error))?;
        if let Some(parameters) = &self.starttls {
            if !connection.can_starttls() {
                return Err(Refusal(Verdict::Refused {
                    why: format!(
                        "{host}:{port} does not offer STARTTLS: write `tls = \"implicit\"` and its port, mostly 465"
                    ),
                }));
            }
            let encrypted = connection.starttls(parameters.clone(), &hello).await;
            encrypted.map_err(|error| self.judged("STARTTLS with the mail server", &error))?;
        }
        Ok(connection)
    }

    async fn log_in(&self, connection: &mut AsyncSmtpConnection) -> Result<(), Refusal> {
        let Some(login) = &self.smtp.login else { return Ok(()) };
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        if connection.server_info().get_auth_mechanism(&mechanisms).is_none() {
            return Err(Refusal(Verdict::Refused {
                why: "the mail server takes no login by PLAIN or LOGIN on this port: try another `port` or `tls`".into(),
            }));
        }
        let credentials = Credentials::new(login.username.clone(), login.password.expose().to_owned());
        let answer = connection.auth(&mechanisms, &credentials).await;
        answer.map(drop).map_err(|error| self.judged("logging in to the mail server", &error))
    }

    /// The mail as it is written.
    fn mail(&self, message: &Message) -> Result<Vec<u8>, lettre::error::Error> {
        let at = u64::try_from(message.at.0).unwrap_or(0);
        let id = format!("<{}.{at}.{}@{}.schoolgate>", message.number, self.id, self.site.gateway);
        let mut mail = MessageBuilder::new()
            .from(self.from.clone())
            .subject(subject(message, self.languages))
            .date(SystemTime::UNIX_EPOCH + Duration::from_millis(at))
            .message_id(Some(id))
            .header(ContentType::TEXT_PLAIN)
            // RFC 3834: no holiday notice comes back.
            .raw_header(header("Auto-Submitted", "auto-generated"));
        if message.priority == Priority::Critical {
            mail = mail.raw_header(header("X-Priority", "1")).raw_header(header("Importance", "high"));
        }
        for to in &self.to {
            mail = mail.to(Mailbox::new(None, to.clone()));
        }
        let body = text(message, &self.site, self.languages) + "\n";
        Ok(mail.body(body)?.formatted())
    }

    async fn send(&mut self, message: &Message, left: &[usize]) -> Result<Vec<(usize, Verdict)>, Refusal> {
        let mail = self.mail(message).map_err(|error| {
            Refusal(Verdict::Refused {
                why: self.scrub.line(&format!("the mail cannot be written: {error}")),
            })
        })?;
        let mut connection = self.connect().await?;
        self.log_in(&mut connection).await?;
        let mut verdicts = Vec::with_capacity(left.len());
        let from = connection.command(Mail::new(Some(self.from.email.clone()), Vec::new())).await;
        from.map_err(|error| self.judged("naming the sender", &error))?;
        let mut taken = Vec::new();
        for nth in left {
            let Some(to) = self.to.get(*nth) else { continue };
            match connection.command(Rcpt::new(to.clone(), Vec::new())).await {
                Ok(_) => taken.push(*nth),
                Err(error) => {
                    let Refusal(verdict) = self.judged("naming a recipient", &error);
                    self.said = Some(self.scrub.line(&reason(&error)));
                    verdicts.push((*nth, verdict));
                }
            }
        }
        if !taken.is_empty() {
            let data = connection.command(Data).await;
            data.map_err(|error| self.judged("sending the mail", &error))?;
            let answer = connection.message(&mail).await;
            let answer = answer.map_err(|error| self.judged("sending the mail", &error))?;
            self.said = Some(self.scrub.line(&answer.message().collect::<Vec<_>>().join(" ")));
            verdicts.extend(taken.into_iter().map(|nth| (nth, Verdict::Accepted)));
        }
        // It has the mail: how it parts is its own business.
        connection.quit().await.ok();
        Ok(verdicts)
    }
}

/// The words of the server behind the code.
fn reason(error: &smtp::Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

/// What a code of RFC 5321 means: 421, 450 and 452 are a server or mailbox that takes nothing now.
fn judge(code: Code, why: String) -> Verdict {
    match (code.severity, code.to_string().as_str()) {
        (_, "421" | "450" | "452") => Verdict::Busy { retry_after: None },
        (Severity::PermanentNegativeCompletion, _) => Verdict::Refused { why },
        _ => Verdict::Failed { why },
    }
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn parameters(host: &str, tls: &Tls) -> Result<TlsParameters, smtp::Error> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(pem) = &tls.ca_pem {
        builder = builder.add_root_certificate(Certificate::from_pem(pem)?);
    }
    builder.build_rustls()
}

impl Notifier for Post {
    fn rate(&self) -> Rate {
        per_minute(20)
    }

    fn tell<'a>(&'a mut self, message: &'a Message) -> Told<'a> {
        Box::pin(async move {
            self.said = None;
            let recipients = self.to.len();
            let left = self.several.left(message.number, recipients);
            if left.is_empty() {
                return Verdict::Accepted;
            }
            match self.send(message, &left).await {
                Ok(verdicts) => {
                    for (nth, verdict) in &verdicts {
                        self.several.note(*nth, verdict);
                    }
                    self.several.summed(verdicts, recipients)
                }
                Err(Refusal(verdict)) => verdict,
            }
        })
    }

    fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }
}

/// The bytes to and from the server.
#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// A wire that gives no more than so many bytes: the library reads a line as long as it comes.
#[derive(Debug)]
struct Bounded {
    wire: Wire,
    peer: SocketAddr,
    left: usize,
}

impl AsyncTokioStream for Bounded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Bounded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left == 0 {
            let what = format!("the mail server sends more than {MAX_REPLY} bytes");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        let before = buf.filled().len();
        match &mut this.wire {
            Wire::Plain(tcp) => ready!(Pin::new(tcp).poll_read(cx, buf))?,
            Wire::Tls(tls) => ready!(Pin::new(tls.as_mut()).poll_read(cx, buf))?,
        }
        this.left = this.left.saturating_sub(buf.filled().len().saturating_sub(before));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Wire::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Wire::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Wire::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}

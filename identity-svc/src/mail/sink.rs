//! Where letters go: an SMTP server, or a folder.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    address::AddressError,
    message::{
        Body, Mailbox,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::PoolConfig,
};
use uuid::Uuid;

use super::letter::Written;
use crate::config::Mail;

/// Longest wait for the server at any step of the talk.
const SMTP_TIMEOUT: Duration = Duration::from_secs(20);

/// Connections that are kept; as many letters are sent at once.
const SMTP_CONNECTIONS_MAX: u32 = 10;

/// Letters that a folder keeps; the oldest make room.
const FOLDER_FILES_MAX: usize = 500;

/// Where letters go.
pub(crate) struct Sink {
    from: Mailbox,
    way: Way,
}

enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder(PathBuf),
}

/// Why a letter didn't go.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The recipient's address; a stored one that was changed by hand.
    #[error("the recipient: {0}")]
    Recipient(#[from] AddressError),
    /// The letter can't be put together.
    #[error("the letter: {0}")]
    Letter(#[from] lettre::error::Error),
    /// What the server says, or that there is none.
    #[error("SMTP: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    /// The folder.
    #[error("the mail folder: {0}")]
    Folder(#[from] io::Error),
}

/// No such mailbox, not here, no such name (RFC 5321 §4.2.3).
const RECIPIENT_REFUSED: [u16; 3] = [550, 551, 553];

impl Error {
    /// Whether another attempt would end the same way.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Recipient(_) | Self::Letter(_) => true,
            // Of this recipient; what else a server refuses for good is mended at the server.
            Self::Smtp(error) => error
                .status()
                .is_some_and(|code| RECIPIENT_REFUSED.contains(&u16::from(code))),
            Self::Folder(_) => false,
        }
    }
}

impl Sink {
    /// As configured; none where nothing is.
    ///
    /// # Errors
    /// The key that can't be used, and why.
    pub(crate) fn new(config: &Mail) -> Result<Option<Self>, (&'static str, String)> {
        let from = config.from()?;
        let way = if let Some(transport) = config.smtp()? {
            let pool = PoolConfig::new().max_size(SMTP_CONNECTIONS_MAX);
            let transport = transport.timeout(Some(SMTP_TIMEOUT)).pool_config(pool);
            Way::Smtp(transport.build())
        } else if !config.folder.as_os_str().is_empty() {
            Way::Folder(config.folder.clone())
        } else {
            return Ok(None);
        };
        Ok(Some(Self { from, way }))
    }

    /// Hands the letter over.
    pub(crate) async fn deliver(
        &self,
        mail_id: Uuid,
        recipient: &str,
        written: Written,
    ) -> Result<(), Error> {
        let message = self.message(mail_id, recipient, written)?;
        match &self.way {
            Way::Smtp(transport) => {
                transport.send(message).await?;
            }
            Way::Folder(folder) => keep(folder, mail_id, &message.formatted()).await?,
        }
        Ok(())
    }

    fn message(&self, mail_id: Uuid, recipient: &str, written: Written) -> Result<Message, Error> {
        let recipient: Address = recipient.parse()?;
        // The same for every attempt, so that who gets it twice sees it once.
        let id = format!("<{mail_id}@{}>", self.from.email.domain());
        // RFC 3834: no program is to answer it.
        let automatic = HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        );
        // As it is where it can be, with links whole on their lines, which are far from SMTP's 998 bytes. A
        // name of others may need an encoding.
        let body = match written.body.is_ascii() {
            true => {
                let body = written.body.replace('\n', "\r\n").into_bytes();
                Body::dangerous_pre_encoded(body, ContentTransferEncoding::SevenBit)
            }
            false => Body::new(written.body),
        };
        Ok(Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, recipient))
            .subject(written.subject)
            .message_id(Some(id))
            .date_now()
            .raw_header(automatic)
            .header(ContentType::TEXT_PLAIN)
            .body(body)?)
    }
}

/// Writes a file whole, and makes room for it. Named by the letter, whose ids go up with time.
async fn keep(folder: &Path, mail_id: Uuid, bytes: &[u8]) -> io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    let mut names = Vec::new();
    let mut entries = tokio::fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name();
        if Path::new(&name).extension().is_some_and(|end| end == "eml") {
            names.push(name);
        }
    }
    names.sort();
    let surplus = (names.len() + 1).saturating_sub(FOLDER_FILES_MAX);
    for name in &names[..surplus] {
        match tokio::fs::remove_file(folder.join(name)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let unfinished = folder.join(format!("{mail_id}.new"));
    tokio::fs::write(&unfinished, bytes).await?;
    tokio::fs::rename(&unfinished, folder.join(format!("{mail_id}.eml"))).await
}

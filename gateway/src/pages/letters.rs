//! Letters that went into a folder instead of to a mail server: to read them while trying things.
//!
//! Always holds: there are such pages only where `mail_folder` is set, which a gateway that others reach
//! refuses; they load nothing, and no page elsewhere can read them, under whatever name it has us found.
//! Leaves to others: writing the folder (identity-svc).

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Router,
    extract::{Path as UrlPath, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use holdfast_types::ErrorCode;
use uuid::Uuid;

use super::html::{escaped, page};
use crate::{failure::ApiError, server::Shared};

/// Letters that the list has.
const LISTED_MAX: usize = 100;

/// Largest letter that is shown; ours have a few hundred bytes.
const LETTER_BYTES_MAX: u64 = 64 * 1024;

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
);

/// The pages, where there is a folder.
pub(super) fn router(folder: &Path) -> Router<Shared> {
    if folder.as_os_str().is_empty() {
        return Router::new();
    }
    let folder = Arc::new(folder.to_owned());
    let pages: Router = Router::new()
        .route("/mail", get(list))
        .route("/mail/{mail_id}", get(show))
        .with_state(folder);
    pages.with_state(())
}

async fn list(State(folder): State<Arc<PathBuf>>, headers: HeaderMap) -> Response {
    if !names_this_machine(&headers) {
        return elsewhere();
    }
    let letters = tokio::task::spawn_blocking(move || newest(&folder)).await;
    let Ok(Ok(letters)) = letters else {
        return ApiError::defect("the mail folder can't be read").into_response();
    };
    let rows: String = letters
        .iter()
        .map(|(id, letter)| row(*id, letter))
        .collect();
    let table = format!(
        "<p>Newest first, at most {LISTED_MAX}; they are files in the data directory.</p>\n\
         <table>\n<tr><th>Date<th>To<th>Subject\n{rows}</table>"
    );
    shown("Mail", &table)
}

fn row(id: Uuid, letter: &str) -> String {
    let field = |name| escaped(field(letter, name).unwrap_or_default());
    let (date, to, subject) = (field("Date"), field("To"), field("Subject"));
    format!("<tr><td>{date}<td>{to}<td><a href=\"/mail/{id}\">{subject}</a>\n")
}

async fn show(
    State(folder): State<Arc<PathBuf>>,
    headers: HeaderMap,
    UrlPath(name): UrlPath<String>,
) -> Response {
    if !names_this_machine(&headers) {
        return elsewhere();
    }
    let none = || ApiError::new(ErrorCode::NotFound, "there is no such letter").into_response();
    // An id, so that nothing else names a file.
    let Ok(mail_id) = name.parse::<Uuid>() else {
        return none();
    };
    let file = folder.join(format!("{mail_id}.eml"));
    let Ok(Ok(letter)) = tokio::task::spawn_blocking(move || read(&file)).await else {
        return none();
    };
    let title = field(&letter, "Subject").unwrap_or("A letter");
    let body = format!(
        "<pre>{}</pre>\n<p><a href=\"/mail\">All mail</a></p>",
        linked(&letter)
    );
    shown(title, &body)
}

fn shown(title: &str, body: &str) -> Response {
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY)];
    (StatusCode::OK, policy, Html(page(title, body))).into_response()
}

fn elsewhere() -> Response {
    ApiError::new(
        ErrorCode::Forbidden,
        "mail is shown to who asks for this machine by its address or as localhost",
    )
    .into_response()
}

/// A page of another site can have its own name lead here; it can't choose what a browser calls us then.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default();
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| {
        let rest = host.strip_prefix(own);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    })
}

/// Ids and texts; ids go up with time.
fn newest(folder: &Path) -> io::Result<Vec<(Uuid, String)>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let ids = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.strip_suffix(".eml")?.parse::<Uuid>().ok()
    });
    let mut ids: Vec<Uuid> = ids.collect();
    ids.sort_unstable_by(|one, other| other.cmp(one));
    ids.truncate(LISTED_MAX);
    let letters = ids.into_iter().filter_map(|id| {
        let letter = read(&folder.join(format!("{id}.eml"))).ok()?;
        Some((id, letter))
    });
    Ok(letters.collect())
}

fn read(file: &Path) -> io::Result<String> {
    if std::fs::metadata(file)?.len() > LETTER_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    std::fs::read_to_string(file)
}

/// A header field of one line.
fn field<'a>(letter: &'a str, name: &str) -> Option<&'a str> {
    let head = letter.lines().take_while(|line| !line.is_empty());
    head.filter_map(|line| line.split_once(": "))
        .find_map(|(own, value)| own.eq_ignore_ascii_case(name).then_some(value))
}

/// The text, where a line that is nothing but a link is one.
fn linked(letter: &str) -> String {
    let lines = letter.lines().map(|line| {
        let plain = escaped(line);
        match line.starts_with("http://") || line.starts_with("https://") {
            true => format!("<a href=\"{plain}\">{plain}</a>\n"),
            false => format!("{plain}\n"),
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let named = |host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            names_this_machine(&headers)
        };
        for own in [
            "localhost:8080",
            "127.0.0.1:8080",
            "127.0.0.1",
            "[::1]:8080",
        ] {
            assert!(named(own), "{own}");
        }
        for other in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8080",
            "",
        ] {
            assert!(!named(other), "{other}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }

    #[test]
    fn what_a_letter_says_is_text_but_for_links() {
        let letter = "To: <ann@example.org>\r\nSubject: Hello\r\n\r\nSubject: no\r\nhttps://a.example/?t=\"x\"\r\n";
        assert_eq!(field(letter, "subject"), Some("Hello"));
        assert_eq!(field(letter, "Bcc"), None);
        let shown = linked(letter);
        assert!(shown.contains("To: &lt;ann@example.org&gt;\n"), "{shown}");
        assert!(
            shown.contains("<a href=\"https://a.example/?t=&quot;x&quot;\">"),
            "{shown}"
        );
    }
}

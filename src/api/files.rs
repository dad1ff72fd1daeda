//! `/api/v1/files` and `/api/v1/stats`: pages, whole answers as CSV or NDJSON, and sums.
//!
//! A whole answer is read in parts, each in a read of its own. The next part is read once the client has taken the one
//! before, so an answer of any length takes two parts of memory, and a slow client holds no transaction.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;
use warp::Reply;
use warp::http::HeaderValue;
use warp::http::header::CONTENT_TYPE;
use warp::reply::Response;

use super::Root;
use super::answer::{self, Refusal};
use super::budget::Size;
use super::query::{self, Files, Format, Parameters, Part};
use super::read_pool::ReadPool;
use crate::ask::{Bounds, By, Counted, Cursor, Page, Question, csv, terms};
use crate::base::text::to_json;
use crate::base::times::{API_REQUEST_TIMEOUT, API_STATISTICS_TIMEOUT, API_STREAM_TIMEOUT};
use crate::library::files::listing::{Details, File};
use crate::library::sqlite::{self, Transaction};
use crate::query::Kind;

/// A part of a whole answer ends before the file that exceeds this many bytes.
const PART_BYTES: usize = 256 * 1024;

/// Answers `/files`.
pub(super) async fn list(pool: ReadPool, parameters: Parameters) -> Result<Response, Refusal> {
    let (files, part) = query::files(parameters)?;
    if part.format != Format::Json {
        return stream(pool, files, part.format).await;
    }
    let deadline = ReadPool::deadline();
    let size = if files.tracks { Size::Whole } else { Size::Page };
    let work = move |tx: &Transaction<'_>| match question(tx, &files) {
        Ok(question) => page(tx, &question, part).map(Ok),
        Err(refusal) => Ok(Err(refusal)),
    };
    pool.answer(deadline, size, work, |page| answer::json(&page??)).await
}

#[derive(Serialize)]
struct FilesPage {
    files: Vec<Shown>,
    next_cursor: Option<i64>,
    /// The same by its older name, until 1.0.
    next: Option<i64>,
    /// Missing files that this page leaves out.
    left_out: u64,
    /// How the query was understood.
    notes: Vec<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Whole(Details),
    Row(File),
}

fn page(tx: &Transaction<'_>, question: &Question, part: Part) -> sqlite::Result<Result<FilesPage, Refusal>> {
    let cursor = Cursor::from(part.cursor);
    let Some(Page { files, walked }) = question.page(tx, &cursor, Bounds::page(part.limit))? else {
        let message = format!("cursor: there is no file {}; begin again", part.cursor);
        return Ok(Err(Refusal::parameter(message)));
    };
    let notes = if part.cursor == 0 { terms::notes(tx, question) } else { Vec::new() };
    let shown = |details: Details| {
        if question.tracks { Shown::Whole(details) } else { Shown::Row(details.file) }
    };
    let next_cursor = walked.next_cursor.as_ref().map(Cursor::id);
    Ok(Ok(FilesPage {
        files: files.into_iter().map(shown).collect(),
        next_cursor,
        next: next_cursor,
        left_out: walked.left_out,
        notes,
    }))
}

/// Reads the query, and other names of codecs and languages.
fn question(tx: &Transaction<'_>, files: &Files) -> Result<Question, Refusal> {
    let query =
        files.query.as_deref().map(|text| terms::read(tx, text)).transpose().map_err(Refusal::query)?;
    let mut question = Question::new(query);
    question.filter = files.filter.clone();
    for (kind, name, value) in [
        (Kind::Codec, "codec", &mut question.filter.codec),
        (Kind::Language, "language", &mut question.filter.language),
    ] {
        if let Some(value) = value {
            let term = terms::canonical(tx, kind, value)
                .map_err(|problem| Refusal::parameter(format!("{name}: {problem}")))?;
            value.clone_from(&term.canonical);
            question.filter_terms.push(term);
        }
    }
    // Without a query, missing files are part of the answer, as they were before there were queries.
    question.missing = files.missing.unwrap_or(question.missing || files.query.is_none());
    (question.tracks, question.sort) = (files.tracks, files.sort);
    Ok(question)
}

/// A whole answer. The first read finds out whether the query is refused.
async fn stream(pool: ReadPool, files: Files, format: Format) -> Result<Response, Refusal> {
    let read = pool.read(ReadPool::deadline(), move |tx| Ok(question(tx, &files)));
    let mut question = read.await??;
    question.tracks |= format == Format::Csv;
    let question = Arc::new(question);
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut cursor = Some(Arc::new(Cursor::default()));
        while let Some(from) = cursor {
            // Only once the part before is on its way. The client may have gone.
            let Ok(permit) = sender.reserve().await else { return };
            match next_part(&pool, &question, format, &from).await {
                Ok((bytes, next)) => {
                    if !bytes.is_empty() {
                        permit.send(Ok(bytes));
                    }
                    cursor = next.map(Arc::new);
                }
                // The client sees that the answer is not whole: the connection ends before its end.
                Err(_) => return permit.send(Err(std::io::ErrorKind::Other.into())),
            }
        }
    });
    let mut response = warp::reply::stream(Parts(receiver)).into_response();
    let content_type = match format {
        Format::Csv => "text/csv; charset=utf-8; header=present",
        _ => "application/x-ndjson",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

/// Reads a part; while the database is busy, again.
async fn next_part(
    pool: &ReadPool,
    question: &Arc<Question>,
    format: Format,
    from: &Arc<Cursor>,
) -> Result<(Bytes, Option<Cursor>), Refusal> {
    let give_up = Instant::now() + API_STREAM_TIMEOUT;
    loop {
        let (question, from) = (Arc::clone(question), Arc::clone(from));
        let work = move |tx: &Transaction<'_>| part(tx, &question, format, &from);
        match pool.bytes(ReadPool::deadline(), Size::Whole, work, |part| part).await {
            Err(refusal) if refusal.is_temporary() && Instant::now() < give_up => {}
            outcome => return outcome,
        }
    }
}

type TextPart = Result<(Box<[u8]>, Option<Cursor>), Refusal>;

/// The text of the files after `from`, and where the next part begins.
fn part(
    tx: &Transaction<'_>,
    question: &Question,
    format: Format,
    from: &Cursor,
) -> sqlite::Result<TextPart> {
    let mut text =
        if from.id() == 0 && format == Format::Csv { csv::HEADING.to_owned() } else { String::new() };
    let mut line = String::new();
    let mut failed = None;
    let walked = question.walk(tx, from, Bounds::slice(u64::MAX), &mut |details| {
        line.clear();
        if format == Format::Csv {
            csv::push(&mut line, &details);
        } else {
            let json = if question.tracks { to_json(&details) } else { to_json(&details.file) };
            match json {
                Ok(json) => line.push_str(&json),
                Err(error) => failed = Some(error),
            }
            line.push('\n');
        }
        let fits = text.len() + line.len() <= PART_BYTES || text.is_empty();
        if fits {
            text.push_str(&line);
        }
        fits
    })?;
    if let Some(error) = failed {
        return Ok(Err(Refusal::parameter(format!("cannot write the answer: {error}"))));
    }
    Ok(match walked {
        Some(walked) => Ok((text.into_bytes().into(), walked.next_cursor)),
        None => Err(Refusal::parameter("a file was removed meanwhile".to_owned())),
    })
}

/// The parts of an answer as they come.
struct Parts(mpsc::Receiver<std::io::Result<Bytes>>);

impl warp::Stream for Parts {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

#[derive(Serialize)]
struct Statistics {
    by: Option<&'static str>,
    #[serde(flatten)]
    counted: Counted,
    notes: Vec<String>,
}

/// Answers `/stats`, in slices: other requests read between them.
pub(super) async fn statistics(
    pool: ReadPool,
    parameters: Parameters,
    roots: Vec<Root>,
) -> Result<Response, Refusal> {
    let (files, by) = query::statistics(parameters)?;
    // Without a query, missing files are not counted unless they are asked for.
    let missing = files.missing.or(files.query.is_none().then_some(false));
    let files = Files { missing, ..files };
    let read = pool.read(ReadPool::deadline(), move |tx| Ok(question(tx, &files)));
    let mut question = read.await??;
    question.tracks = by.is_some_and(By::needs_tracks);
    let roots: Vec<String> = roots.iter().map(|root| root.path.to_string_lossy().into_owned()).collect();
    let (question, roots) = (Arc::new(question), Arc::new(roots));
    let end = Instant::now() + API_STATISTICS_TIMEOUT;
    let mut counted = Counted::default();
    loop {
        let (question, roots, before) = (Arc::clone(&question), Arc::clone(&roots), counted);
        let deadline = end.min(Instant::now() + API_REQUEST_TIMEOUT);
        let slice = pool.read(deadline, move |tx| {
            // A read may be repeated.
            let mut counted = before.clone();
            let is_last = question.count(tx, by, &roots, &mut counted)?;
            Ok((counted, is_last))
        });
        let (so_far, is_last) = slice.await?;
        counted = so_far;
        if is_last {
            break;
        }
    }
    let by = by.map(By::as_str);
    let notes = move |tx: &Transaction<'_>| Ok(terms::notes(tx, &question));
    let render = move |notes| answer::json(&Statistics { by, counted, notes });
    pool.answer(end, Size::Whole, notes, render).await
}

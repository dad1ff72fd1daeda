//! The library as a page for people: HTML that is complete without scripts. Imports only [`crate::base`], [`crate::api`] (whose
//! permits to read it shares), [`crate::ask`], [`crate::library`] and [`crate::query`]. `docs/page.md` describes it.
//!
//! [`layout`] is what all views have in common, [`asset`] the files beside the views, [`mod@format`] and [`track`] how values
//! and tracks are written. Every other module is a view. Views that read the database are rendered on the thread that has read it; the
//! others are short and come from memory.
//!
//! Links are relative, so that a proxy can mount the page below a path.

mod about;
mod asset;
mod changes;
mod daemon;
mod file;
mod files;
mod format;
mod jobs;
mod layout;
mod overview;
mod track;

use std::future::ready;
use std::sync::Arc;

use hyper::body::Bytes;
use maud::Markup;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::path::FullPath;
use warp::reply::Response;

use crate::api::answer::Refusal;
use crate::api::budget::Size;
use crate::api::read_pool::ReadPool;
use crate::api::{Readers, accepts_gzip};
use crate::base::{html, reply};
use crate::library::Library;
use crate::library::sqlite::{self, Transaction};
use asset::Asset;
pub(crate) use daemon::{Daemon, Health, Problem, Progress, Root, Setting};
use layout::{Frame, Tab};

/// The page: where it reads, and the state of the daemon.
#[derive(Clone)]
struct Site {
    readers: Readers,
    library: Arc<Library>,
    daemon: Arc<dyn Daemon>,
}

/// Directories below the page's own from which the page of an unknown path still leads back.
const DEEPEST: usize = 100;

/// A path of the page.
#[derive(Clone, Copy, Debug)]
enum View {
    Overview,
    Files,
    File(i64),
    Changes,
    Jobs,
    About,
    /// What scripts fetch again and again.
    Live,
    Asset(&'static Asset),
    /// For a browser at any other path outside of the API, so many directories below the page's own.
    NotFound(usize),
}

impl View {
    /// The view at a path. Programs get neither the overview, which is at `/`, nor a page for what does not exist.
    fn at(path: &str, is_browser: bool) -> Option<Self> {
        Some(match path {
            "/" if is_browser => Self::Overview,
            "/files" => Self::Files,
            "/changes" => Self::Changes,
            "/jobs" => Self::Jobs,
            "/about" => Self::About,
            "/live" => Self::Live,
            path => {
                let id = path.strip_prefix("/file/").and_then(|id| id.parse().ok());
                let asset = asset::ASSETS.iter().find(|asset| asset.path == path);
                match (id, asset) {
                    (Some(id), _) => Self::File(id),
                    (_, Some(asset)) => Self::Asset(asset),
                    _ if is_browser && !path.starts_with("/api/") && path != "/" => {
                        Self::NotFound((path.matches('/').count() - 1).min(DEEPEST))
                    }
                    _ => return None,
                }
            }
        })
    }
}

/// All routes of the page.
pub(crate) fn routes(
    readers: &Readers,
    library: Arc<Library>,
    daemon: Arc<dyn Daemon>,
) -> BoxedFilter<(Response,)> {
    let site = Arc::new(Site { readers: readers.clone(), library, daemon });
    let view = warp::path::full().and(html::is_wanted()).and_then(|path: FullPath, is_browser| {
        ready(View::at(path.as_str(), is_browser).ok_or_else(warp::reject::not_found))
    });
    let method = warp::get().or(warp::head()).unify();
    let raw = warp::query::raw().or(warp::any().map(String::new)).unify();
    view.and(method)
        .and(raw)
        .and(accepts_gzip())
        .then(move |view, query: String, gzip| {
            let site = Site { readers: site.readers.with_gzip(gzip), ..Site::clone(&site) };
            async move { Arc::new(site).show(view, &query, gzip).await }
        })
        .boxed()
}

impl Site {
    async fn show(self: Arc<Self>, view: View, query: &str, gzip: bool) -> Response {
        let outcome = match view {
            View::Asset(asset) => return asset.reply(gzip),
            View::Live => return html::page(StatusCode::OK, layout::live(&*self.daemon).into_string()),
            View::Overview => overview::show(&self).await,
            View::Files => files::show(&self, query).await,
            View::File(id) => file::show(&self, id).await,
            View::Changes => changes::show(&self, query).await,
            View::Jobs => jobs::show(&self, query).await,
            View::About => about::show(&self).await,
            View::NotFound(_) => Err(Refusal::not_found("There is no such page.")),
        };
        match outcome {
            Ok((page, is_compressed)) => {
                let mut response = html::page(StatusCode::OK, page);
                reply::mark_gzip(&mut response, is_compressed);
                response
            }
            Err(refusal) => self.refuse(view, &refusal),
        }
    }

    /// A page that says why a view cannot be shown.
    fn refuse(&self, view: View, refusal: &Refusal) -> Response {
        let text = layout::refusal(self.frame(view), refusal, &self.daemon.roots());
        html::page(refusal.status, text)
    }

    /// What `work` reads and `render` makes of it, on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        size: Size,
        work: impl FnMut(&Transaction<'_>) -> sqlite::Result<T> + Send + 'static,
        render: impl FnOnce(T) -> Result<Box<str>, Refusal> + Send + 'static,
    ) -> Outcome {
        self.readers.pool.text(ReadPool::deadline(), size, work, render).await
    }

    fn frame(&self, view: View) -> Frame {
        let (tab, depth) = match view {
            View::Overview => (Some(Tab::Overview), 0),
            View::Files => (Some(Tab::Files), 0),
            View::File(_) => (Some(Tab::Files), 1),
            View::Changes => (Some(Tab::Changes), 0),
            View::Jobs => (Some(Tab::Jobs), 0),
            View::About => (Some(Tab::About), 0),
            View::NotFound(depth) => (None, depth),
            View::Live | View::Asset(_) => (None, 0),
        };
        Frame {
            tab,
            up: "../".repeat(depth),
            title: String::new(),
            has_search: !matches!(view, View::Files),
            live: layout::live(&*self.daemon),
            reload: None,
        }
    }
}

/// A finished view, and whether it is compressed.
type Outcome = Result<(Bytes, bool), Refusal>;

/// A view as text.
#[expect(clippy::unnecessary_wraps, reason = "the type that readers of the library render to")]
fn page(frame: &Frame, main: &Markup) -> Result<Box<str>, Refusal> {
    Ok(layout::document(frame, main).into_boxed_str())
}

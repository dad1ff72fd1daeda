//! The library as a page for people: HTML that is complete without scripts. Imports only [`crate::base`], [`crate::api`] (whose
//! permits to read it shares), [`crate::ask`], [`crate::library`] and [`crate::query`]. `docs/page.md` describes it.
//!
//! [`layout`] is what all views have in common, [`asset`] the files beside the views, [`mod@format`] how values
//! are written. Every other module is a view. Views that read the database are rendered on the thread that has read it; the
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

use std::future::ready;
use std::sync::Arc;

use hyper::body::Bytes;
use maud::Markup;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::path::FullPath;
use warp::reply::Response;

use crate::api::Readers;
use crate::api::answer::Refusal;
use crate::api::budget::Size;
use crate::api::read_pool::ReadPool;
use crate::base::html;
use crate::library::Library;
use crate::library::sqlite::{self, Transaction};
use asset::Asset;
pub(crate) use daemon::{Daemon, Health, Problem, Progress, Root, Setting};
use layout::{Frame, Tab};

/// The page: where it reads, and the state of the daemon.
struct Site {
    readers: Readers,
    library: Arc<Library>,
    daemon: Arc<dyn Daemon>,
}

/// A path of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// For a browser at any other path outside of the API.
    NotFound,
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
                    _ if is_browser && !path.starts_with("/api/") && path != "/" => Self::NotFound,
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
        .then(move |view, query: String| {
            let site = Arc::clone(&site);
            async move { site.show(view, &query).await }
        })
        .boxed()
}

impl Site {
    async fn show(self: Arc<Self>, view: View, query: &str) -> Response {
        let outcome = match view {
            View::Asset(asset) => return asset.reply(),
            View::Live => return html::page(StatusCode::OK, layout::live(&*self.daemon).into_string()),
            View::Overview => overview::show(&self).await,
            View::Files => files::show(&self, query).await,
            View::File(id) => file::show(&self, id).await,
            View::Changes => changes::show(&self, query).await,
            View::Jobs => jobs::show(&self, query).await,
            View::About => about::show(&self).await,
            View::NotFound => Err(Refusal::not_found("There is no such page.")),
        };
        match outcome {
            Ok(page) => html::page(StatusCode::OK, page),
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
        let render = move |read| Ok((render(read)?.into_boxed_bytes(), ()));
        self.readers.pool.bytes(ReadPool::deadline(), size, work, render).await.map(|(page, ())| page)
    }

    fn frame(&self, view: View) -> Frame {
        let (tab, up) = match view {
            View::Overview => (Some(Tab::Overview), ""),
            View::Files => (Some(Tab::Files), ""),
            View::File(_) => (Some(Tab::Files), "../"),
            View::Changes => (Some(Tab::Changes), ""),
            View::Jobs => (Some(Tab::Jobs), ""),
            View::About => (Some(Tab::About), ""),
            View::Live | View::Asset(_) | View::NotFound => (None, ""),
        };
        Frame {
            tab,
            up,
            title: String::new(),
            has_search: view != View::Files,
            live: layout::live(&*self.daemon),
            reload: None,
        }
    }
}

/// A finished view.
type Outcome = Result<Bytes, Refusal>;

/// A view as text.
#[expect(clippy::unnecessary_wraps, reason = "the type that readers of the library render to")]
fn page(frame: &Frame, main: &Markup) -> Result<Box<str>, Refusal> {
    Ok(layout::document(frame, main).into_boxed_str())
}

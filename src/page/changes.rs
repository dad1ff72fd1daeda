//! What changed in the library.

use std::sync::Arc;

use maud::html;

use super::{Outcome, Site, View, page};
use crate::api::budget::Size;
use crate::api::read_pool::ReadPool;

pub(super) async fn show(site: &Arc<Site>) -> Outcome {
    let frame = site.frame(View::Changes);
    let render = move || {
        page(
            &frame,
            &html! {
                main #main data-refresh {
                    h1 { "Changes" }
                    p.lead { "This version keeps no history of single files." }
                    p {
                        "What is new this week is in " a href=(super::format::files("age < 7d")) { "Files" }
                        ", what is gone in " a href=(super::format::files("missing")) { "Missing" }
                        ", and how many files each scan found new, changed or gone, in " a href="jobs" { "Jobs" } "."
                    }
                }
            },
        )
    };
    site.readers.pool.render(ReadPool::deadline(), Size::Page, render).await
}

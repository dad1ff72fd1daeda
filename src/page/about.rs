//! The program, the database and the configuration.

use std::sync::Arc;

use maud::{Markup, html};

use super::daemon::Setting;
use super::format::{Name, Sentence, size};
use super::{Outcome, Site, View, page};
use crate::api::budget::Size;
use crate::api::read_pool::ReadPool;
use crate::library::SCHEMA_VERSION;

pub(super) async fn show(site: &Arc<Site>) -> Outcome {
    let (frame, of) = (site.frame(View::About), Arc::clone(site));
    // The database is not needed, but its disk is asked for its size.
    let render = move || page(&frame, &main(&of));
    site.readers.pool.render(ReadPool::deadline(), Size::Page, render).await
}

fn main(site: &Site) -> Markup {
    let path = site.library.path();
    let bytes = path.metadata().map(|found| found.len());
    let health = site.daemon.health();
    let settings = site.daemon.settings();
    html! {
        main #main {
            h1 { "About" }
            dl.facts {
                dt { "VPO" } dd { "version " (env!("CARGO_PKG_VERSION")) }
                dt { "Database" } dd { (Name(&path.to_string_lossy())) @if let Ok(bytes) = bytes { ", " (size(bytes)) } ", schema " (SCHEMA_VERSION) }
                @if let Some(detail) = &health.database { dt { "State" } dd { (Sentence(detail)) } }
                dt { "For programs" }
                dd {
                    a href="api/v1/files" { "api/v1/files" } ", " a href="api/v1/library" { "api/v1/library" } ", "
                    a href="openapi.yaml" { "openapi.yaml" } ", " a href="health" { "health" } ", "
                    a href="metrics" { "metrics" }
                }
                dt { "Documentation" }
                dd {
                    code { "vpo --help" } ", and the directory " code { "docs" } " of the source: "
                    code { "query.md" } " on searches, " code { "operations.md" } " on problems, " code { "page.md" } " on this page"
                }
            }
            h2 { "Configuration" }
            @if let Some(file) = site.daemon.config_file() { p.muted { "From " code { (Name(&file)) } } }
            (configuration(&settings))
        }
    }
}

fn configuration(settings: &[Setting]) -> Markup {
    html! {
        @if settings.is_empty() { p { "The configuration is being read again. Load this page once more." } }
        @else {
            table.settings {
                thead { tr { th scope="col" { "Key" } th scope="col" { "Value" } th scope="col" { "From" } } }
                tbody {
                    @for setting in settings {
                        tr {
                            th scope="row" { code { (setting.key) } }
                            td data-label="Value" {
                                @match &setting.value { Some(value) => code { (Name(value)) }, None => span.muted { "not set" } }
                            }
                            td.muted data-label="From" { @if setting.value.is_some() { (Name(&setting.origin)) } }
                        }
                    }
                }
            }
        }
    }
}

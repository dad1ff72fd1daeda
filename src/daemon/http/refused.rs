//! Rejections as pages, for browsers that may not see anything else: without styles, which they could not load.

use maud::{DOCTYPE, Markup, html};
use warp::http::StatusCode;
use warp::reply::Response;

use super::hosts::{self, RequestHost};
use crate::base::html;
use crate::base::text::Escaped;

/// 401: what a browser shows once its question for the token was cancelled.
pub(super) fn without_token() -> Response {
    page(
        StatusCode::UNAUTHORIZED,
        "VPO asks for its access token",
        &html! {
            p { "Load this page again, and enter the token as the password. The user name does not matter." }
            p {
                "It is the value of " code { "server.auth_token" } " in the configuration, or the content of the file of "
                code { "server.auth_token_file" } "."
            }
        },
    )
}

/// 421: the name in the address is not allowed.
pub(super) fn for_host(host: &RequestHost) -> Response {
    page(
        StatusCode::MISDIRECTED_REQUEST,
        "VPO does not answer to this name yet",
        &html! {
            @if let Some(name) = hosts::name_to_add(host) {
                p { "This page was opened as " strong { (name) } ". Add the name to the configuration, and restart VPO:" }
                pre { "[server]\nhosts = [\"" (name) "\"]" }
                p { "Or set the variable " code { "VPO_SERVER_HOSTS=" (name) } ", or open the page by the address of this machine." }
                p { "Names must be listed because any web site could give this machine a name of its own, and read the library from its visitors\u{2019} browsers." }
            } @else {
                p { (Escaped(hosts::refusal(host)).to_string()) }
            }
        },
    )
}

fn page(status: StatusCode, title: &str, text: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (title) }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
            }
            body { main { h1 { (title) } (text) } }
        }
    };
    html::page(status, page.into_string())
}

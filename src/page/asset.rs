//! The files beside the views.

use hyper::body::Bytes;
use warp::reply::Response;

use crate::base::html;

/// A file beside the views.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asset {
    pub path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

pub(super) const ASSETS: [Asset; 3] = [
    Asset {
        path: "/style.css",
        media_type: "text/css; charset=utf-8",
        text: include_str!("assets/style.css"),
    },
    Asset {
        path: "/page.js",
        media_type: "text/javascript; charset=utf-8",
        text: include_str!("assets/page.js"),
    },
    Asset { path: "/logo.svg", media_type: "image/svg+xml", text: include_str!("assets/logo.svg") },
];

impl Asset {
    pub(super) fn reply(&self) -> Response {
        html::part(self.media_type, Bytes::from_static(self.text.as_bytes()))
    }
}

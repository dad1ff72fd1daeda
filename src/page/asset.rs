//! The files beside the views.

use std::sync::LazyLock;

use hyper::body::Bytes;
use warp::reply::Response;

use crate::api::gzip;
use crate::base::{html, reply};

/// A file beside the views.
#[derive(Debug)]
pub(super) struct Asset {
    pub path: &'static str,
    media_type: &'static str,
    text: &'static str,
    /// As gzip, since the first request for it; `None` if it is short.
    compressed: LazyLock<Option<Vec<u8>>>,
}

/// An asset with its path, type and text.
macro_rules! asset {
    ($path:literal, $media_type:literal) => {
        Asset {
            path: $path,
            media_type: $media_type,
            text: include_str!(concat!("assets", $path)),
            compressed: LazyLock::new(|| gzip::compressed(include_str!(concat!("assets", $path)))),
        }
    };
}

pub(super) static ASSETS: [Asset; 3] = [
    asset!("/style.css", "text/css; charset=utf-8"),
    asset!("/page.js", "text/javascript; charset=utf-8"),
    asset!("/logo.svg", "image/svg+xml"),
];

impl Asset {
    pub(super) fn reply(&'static self, accepts_gzip: bool) -> Response {
        let compressed = self.compressed.as_deref().filter(|_| accepts_gzip);
        let body = Bytes::from_static(compressed.unwrap_or(self.text.as_bytes()));
        let mut response = html::part(self.media_type, body);
        reply::mark_gzip(&mut response, compressed.is_some());
        response
    }
}

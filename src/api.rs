//! The library's read-only routes (`/api/v1/…`) as warp filters. Knows [`crate::library`] and nothing else
//! of the crate.

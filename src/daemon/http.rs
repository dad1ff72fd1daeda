//! The HTTP side: our accept loop and warp's filters on hyper's HTTP/1 connections; limits, drain, authentication as a filter.

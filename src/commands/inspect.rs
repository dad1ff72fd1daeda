//! `vpo inspect FILE`: the container and its tracks, as a table or JSON.

//! Files as the API lists them: filters, pages, one file with its tracks.

//! Rows of `jobs`: a scan's life from queued to completed, failed or cancelled.

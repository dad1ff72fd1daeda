//! Matroska and WebM (EBML, RFC 8794; Matroska, RFC 9559).

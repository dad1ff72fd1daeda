//! AVI and OpenDML (RIFF): `hdrl` only.

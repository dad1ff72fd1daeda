//! The element identifiers that are read here (RFC 9559, section 5), with their marker bits.

pub(super) const EBML: u32 = 0x1A45_DFA3;
pub(super) const EBML_READ_VERSION: u32 = 0x42F7;
pub(super) const EBML_MAX_ID_LENGTH: u32 = 0x42F2;
pub(super) const EBML_MAX_SIZE_LENGTH: u32 = 0x42F3;
pub(super) const SEGMENT: u32 = 0x1853_8067;

/// Elements that may be anywhere and are skipped.
pub(super) const VOID: u32 = 0xEC;
pub(super) const CRC_32: u32 = 0xBF;

pub(super) const SEEK_HEAD: u32 = 0x114D_9B74;
pub(super) const SEEK: u32 = 0x4DBB;
pub(super) const SEEK_ID: u32 = 0x53AB;
pub(super) const SEEK_POSITION: u32 = 0x53AC;

pub(super) const INFO: u32 = 0x1549_A966;
pub(super) const TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
pub(super) const DURATION: u32 = 0x4489;
pub(super) const TITLE: u32 = 0x7BA9;

pub(super) const CLUSTER: u32 = 0x1F43_B675;
pub(super) const TIMESTAMP: u32 = 0xE7;
pub(super) const SIMPLE_BLOCK: u32 = 0xA3;
pub(super) const BLOCK_GROUP: u32 = 0xA0;
pub(super) const BLOCK: u32 = 0xA1;
pub(super) const BLOCK_DURATION: u32 = 0x9B;

pub(super) const CUES: u32 = 0x1C53_BB6B;
pub(super) const CHAPTERS: u32 = 0x1043_A770;
pub(super) const EDITION_ENTRY: u32 = 0x45B9;
pub(super) const EDITION_FLAG_DEFAULT: u32 = 0x45DB;
pub(super) const CHAPTER_ATOM: u32 = 0xB6;
pub(super) const TAGS: u32 = 0x1254_C367;
pub(super) const TAG: u32 = 0x7373;
pub(super) const TARGETS: u32 = 0x63C0;
pub(super) const TAG_TRACK_UID: u32 = 0x63C5;
pub(super) const SIMPLE_TAG: u32 = 0x67C8;
pub(super) const TAG_NAME: u32 = 0x45A3;
pub(super) const TAG_STRING: u32 = 0x4487;

pub(super) const TRACKS: u32 = 0x1654_AE6B;
pub(super) const TRACK_ENTRY: u32 = 0xAE;
pub(super) const TRACK_NUMBER: u32 = 0xD7;
pub(super) const TRACK_TYPE: u32 = 0x83;
pub(super) const FLAG_DEFAULT: u32 = 0x88;
pub(super) const FLAG_FORCED: u32 = 0x55AA;
pub(super) const FLAG_ENABLED: u32 = 0xB9;
pub(super) const FLAG_HEARING_IMPAIRED: u32 = 0x55AB;
pub(super) const FLAG_VISUAL_IMPAIRED: u32 = 0x55AC;
pub(super) const FLAG_ORIGINAL: u32 = 0x55AE;
pub(super) const FLAG_COMMENTARY: u32 = 0x55AF;
pub(super) const TRACK_UID: u32 = 0x73C5;
pub(super) const BLOCK_ADDITION_MAPPING: u32 = 0x41E4;
pub(super) const BLOCK_ADD_ID_TYPE: u32 = 0x41E7;
pub(super) const BLOCK_ADD_ID_EXTRA_DATA: u32 = 0x41ED;
pub(super) const DEFAULT_DURATION: u32 = 0x23_E383;
pub(super) const TRACK_TIMESTAMP_SCALE: u32 = 0x23_314F;
pub(super) const NAME: u32 = 0x536E;
pub(super) const LANGUAGE: u32 = 0x22_B59C;
pub(super) const LANGUAGE_BCP47: u32 = 0x22_B59D;
pub(super) const CODEC_ID: u32 = 0x86;
pub(super) const CODEC_PRIVATE: u32 = 0x63A2;
pub(super) const CONTENT_ENCODINGS: u32 = 0x6D80;
pub(super) const CONTENT_ENCODING: u32 = 0x6240;
pub(super) const CONTENT_ENCODING_ORDER: u32 = 0x5031;
pub(super) const CONTENT_ENCODING_SCOPE: u32 = 0x5032;
pub(super) const CONTENT_ENCODING_TYPE: u32 = 0x5033;
pub(super) const CONTENT_COMPRESSION: u32 = 0x5034;
pub(super) const CONTENT_COMP_ALGO: u32 = 0x4254;
pub(super) const CONTENT_COMP_SETTINGS: u32 = 0x4255;
pub(super) const VIDEO: u32 = 0xE0;
pub(super) const PIXEL_WIDTH: u32 = 0xB0;
pub(super) const PIXEL_HEIGHT: u32 = 0xBA;
pub(super) const FRAME_RATE: u32 = 0x23_83E3;
pub(super) const FLAG_INTERLACED: u32 = 0x9A;
pub(super) const FIELD_ORDER: u32 = 0x9D;
pub(super) const COLOUR: u32 = 0x55B0;
pub(super) const MATRIX_COEFFICIENTS: u32 = 0x55B1;
pub(super) const RANGE: u32 = 0x55B9;
pub(super) const TRANSFER_CHARACTERISTICS: u32 = 0x55BA;
pub(super) const PRIMARIES: u32 = 0x55BB;
pub(super) const MAX_CLL: u32 = 0x55BC;
pub(super) const MASTERING_METADATA: u32 = 0x55D0;
pub(super) const AUDIO: u32 = 0xE1;
pub(super) const CHANNELS: u32 = 0x9F;
pub(super) const SAMPLING_FREQUENCY: u32 = 0xB5;
pub(super) const OUTPUT_SAMPLING_FREQUENCY: u32 = 0x78B5;
pub(super) const BIT_DEPTH: u32 = 0x6264;

pub(super) const ATTACHMENTS: u32 = 0x1941_A469;
pub(super) const ATTACHED_FILE: u32 = 0x61A7;
pub(super) const FILE_DESCRIPTION: u32 = 0x467E;
pub(super) const FILE_NAME: u32 = 0x466E;
pub(super) const FILE_MEDIA_TYPE: u32 = 0x4660;
pub(super) const FILE_DATA: u32 = 0x465C;

/// The Segment's own children: what ends an element of unknown size, and where damage ends.
pub(super) const TOP_LEVEL: &[u32] = &[SEEK_HEAD, INFO, CLUSTER, CUES, CHAPTERS, TAGS, TRACKS, ATTACHMENTS];

-- The library, schema version 7.
--
-- The file is shared with other VPO programs, so every name, type, default, constraint and index here is
-- fixed: a test holds them against a file that another program wrote. What the daemon itself uses is
-- `_meta`, `files`, `tracks` and `jobs`; the other tables are made so that those programs find them.
--
-- Times are text, UTC, as 2025-01-31T12:00:00.123456+00:00: with microseconds and a numeric offset, because
-- older readers do not know `Z`. Booleans are INTEGER 0 or 1.

-- Facts about the file itself. The one row that every program looks at first is schema_version = 7.
CREATE TABLE _meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- One video file. Rows outlive their file: a vanished one gets scan_status 'missing' and keeps its id, so
-- that its history is there when it comes back, under this name or another.
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT UNIQUE NOT NULL,                    -- absolute; bytes that are not UTF-8 as %XX
    filename TEXT NOT NULL,                       -- last component of path
    directory TEXT NOT NULL,                      -- path without it
    extension TEXT NOT NULL,                      -- lower case, without the dot
    size_bytes INTEGER NOT NULL,
    modified_at TEXT NOT NULL,                    -- mtime
    content_hash TEXT,                            -- xxh64:<first 64 KiB>:<last 64 KiB>:<size>; NULL until the second pass
    container_format TEXT,                        -- ffprobe's name of the family, e.g. matroska,webm
    scanned_at TEXT NOT NULL,
    scan_status TEXT NOT NULL DEFAULT 'pending',  -- pending, ok, error, missing
    scan_error TEXT                               -- why, when the status is error
);

CREATE INDEX idx_files_directory ON files(directory);
CREATE INDEX idx_files_extension ON files(extension);
CREATE INDEX idx_files_content_hash ON files(content_hash);

-- One stream of a file, in ffprobe's order. Replaced as a whole whenever the file is read again.
CREATE TABLE tracks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file_id INTEGER NOT NULL,
    track_index INTEGER NOT NULL,                 -- from 0
    track_type TEXT NOT NULL,                     -- video, audio, subtitle, attachment, other
    codec TEXT,                                   -- ffprobe's codec_name
    language TEXT,                                -- ISO 639-2/B; und when absent
    title TEXT,
    is_default INTEGER NOT NULL DEFAULT 0,
    is_forced INTEGER NOT NULL DEFAULT 0,
    channels INTEGER,
    channel_layout TEXT,                          -- mono, stereo, quad, 5.0, 5.1, 7.1, else Nch
    width INTEGER,
    height INTEGER,
    frame_rate TEXT,                              -- a fraction, e.g. 24000/1001
    FOREIGN KEY (file_id) REFERENCES files(id) ON DELETE CASCADE,
    UNIQUE(file_id, track_index)
);

CREATE INDEX idx_tracks_file_id ON tracks(file_id);
CREATE INDEX idx_tracks_type ON tracks(track_type);
CREATE INDEX idx_tracks_language ON tracks(language);

-- One application of a policy to a file: what was planned and how it ended. Not used by the daemon.
CREATE TABLE operations (
    id TEXT PRIMARY KEY,                          -- UUID
    file_id INTEGER NOT NULL,
    file_path TEXT NOT NULL,
    policy_name TEXT NOT NULL,
    policy_version INTEGER NOT NULL,
    actions_json TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'PENDING',
    error_message TEXT,
    backup_path TEXT,
    started_at TEXT NOT NULL,
    completed_at TEXT,
    FOREIGN KEY (file_id) REFERENCES files(id) ON DELETE CASCADE,
    CONSTRAINT valid_status CHECK (
        status IN ('PENDING', 'IN_PROGRESS', 'COMPLETED', 'FAILED', 'ROLLED_BACK')
    )
);

CREATE INDEX idx_operations_file_id ON operations(file_id);
CREATE INDEX idx_operations_status ON operations(status);
CREATE INDEX idx_operations_started_at ON operations(started_at);

-- Policies by name. Not used by the daemon.
CREATE TABLE policies (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT UNIQUE NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    definition TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

-- Plugins that a user has agreed to run, by the hash of their code. Not used by the daemon.
CREATE TABLE plugin_acknowledgments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    plugin_name TEXT NOT NULL,
    plugin_hash TEXT NOT NULL,
    acknowledged_at TEXT NOT NULL,
    acknowledged_by TEXT,
    UNIQUE(plugin_name, plugin_hash)
);

CREATE INDEX idx_plugin_ack_name ON plugin_acknowledgments(plugin_name);

-- Work: queued → running → completed, failed or cancelled. The daemon takes only rows of job_type 'scan'
-- whose policy_json says "by": "vpo-serve"; it never touches another program's.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,                          -- UUID
    file_id INTEGER,                              -- NULL for a scan
    file_path TEXT NOT NULL,                      -- the root, for a scan
    job_type TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'queued',
    priority INTEGER NOT NULL DEFAULT 100,        -- lower goes first
    policy_name TEXT,
    policy_json TEXT,                             -- the options, for a scan
    progress_percent REAL NOT NULL DEFAULT 0.0,
    progress_json TEXT,
    created_at TEXT NOT NULL,
    started_at TEXT,
    completed_at TEXT,
    worker_pid INTEGER,
    worker_heartbeat TEXT,                        -- a time, every few seconds while running
    output_path TEXT,
    backup_path TEXT,
    error_message TEXT,
    files_affected_json TEXT,
    summary_json TEXT,                            -- counts, and what the root was (file system, mount point)
    FOREIGN KEY (file_id) REFERENCES files(id) ON DELETE CASCADE,
    CONSTRAINT valid_status CHECK (
        status IN ('queued', 'running', 'completed', 'failed', 'cancelled')
    ),
    CONSTRAINT valid_job_type CHECK (
        job_type IN ('transcode', 'move', 'scan', 'apply')
    ),
    CONSTRAINT valid_progress CHECK (
        progress_percent >= 0.0 AND progress_percent <= 100.0
    )
);

CREATE INDEX idx_jobs_status ON jobs(status);
CREATE INDEX idx_jobs_file_id ON jobs(file_id);
CREATE INDEX idx_jobs_created_at ON jobs(created_at);
CREATE INDEX idx_jobs_priority_created ON jobs(priority, created_at);

-- What language an audio track is really in, by listening. Goes with its track: reading a file again drops
-- it. Not used by the daemon.
CREATE TABLE transcription_results (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    track_id INTEGER NOT NULL UNIQUE,
    detected_language TEXT,
    confidence_score REAL NOT NULL,
    track_type TEXT NOT NULL DEFAULT 'main',
    transcript_sample TEXT,
    plugin_name TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    FOREIGN KEY (track_id) REFERENCES tracks(id) ON DELETE CASCADE,
    CONSTRAINT valid_confidence CHECK (
        confidence_score >= 0.0 AND confidence_score <= 1.0
    ),
    CONSTRAINT valid_track_type CHECK (
        track_type IN ('main', 'commentary', 'alternate')
    )
);

CREATE INDEX idx_transcription_track_id ON transcription_results(track_id);
CREATE INDEX idx_transcription_language ON transcription_results(detected_language);
CREATE INDEX idx_transcription_type ON transcription_results(track_type);
CREATE INDEX idx_transcription_plugin ON transcription_results(plugin_name);

INSERT INTO _meta (key, value) VALUES ('schema_version', '7');

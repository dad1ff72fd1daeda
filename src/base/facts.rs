//! Facts: what can be stated about a video and its tracks beyond the columns of schema 7.
//!
//! They are declared here because `media` reads them, `library` stores them, and neither may name the other. One line of
//! `facts!` declares a fact: its field, its column in the daemon's tables and its key in JSON.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A value of a fact.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are the kinds")]
pub enum Value<'a> {
    Null,
    Flag(bool),
    Integer(i64),
    Real(f64),
    Text(&'a str),
}

impl Value<'_> {
    /// Bytes of text.
    pub(crate) fn text_len(self) -> usize {
        if let Self::Text(text) = self { text.len() } else { 0 }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Real(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// A type of facts.
pub trait Fact {
    /// The type of its column.
    const SQL: &'static str;

    /// The value to store.
    fn value(&self) -> Value<'_>;
}

/// A type of facts that can be read from a database.
pub trait Stored: Fact + Sized {
    /// The fact of a stored value; `None` for NULL, and for what no fact of this type is stored as.
    fn from_stored(value: Value<'_>) -> Option<Self>;
}

macro_rules! kinds {
    ($($kind:ty, $sql:literal, $fact:ident => $value:expr, $stored:ident => $read:expr;)+) => {
        $(impl Fact for $kind {
            const SQL: &'static str = $sql;

            fn value(&self) -> Value<'_> {
                let $fact = self;
                $value
            }
        }

        impl Stored for $kind {
            fn from_stored($stored: Value<'_>) -> Option<Self> {
                $read
            }
        })+
    };
}

kinds! {
    String, "TEXT", fact => Value::Text(fact), stored => match stored {
        Value::Text(text) => Some(text.to_owned()),
        _ => None,
    };
    u32, "INTEGER", fact => Value::Integer(i64::from(*fact)), stored => match stored {
        Value::Integer(number) => Self::try_from(number).ok(),
        _ => None,
    };
    u64, "INTEGER", fact => Value::Integer(i64::try_from(*fact).unwrap_or(i64::MAX)), stored => match stored {
        Value::Integer(number) => Self::try_from(number).ok(),
        _ => None,
    };
    f64, "REAL", fact => Value::Real(*fact), stored => match stored {
        Value::Real(number) if number.is_finite() => Some(number),
        _ => None,
    };
    bool, "INTEGER", fact => Value::Flag(*fact), stored => match stored {
        Value::Integer(number) => Some(number != 0),
        _ => None,
    };
}

/// A word of the prober's own. What is stored is read as a `String`.
impl Fact for &'static str {
    const SQL: &'static str = "TEXT";

    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

/// Declares facts: for each its documentation, name and type.
macro_rules! facts {
    (
        $(#[$about:meta])*
        $name:ident $(<$word:ident>)?;
        $($(#[$doc:meta])* $field:ident: $kind:ty,)*
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name $(<$word>)? {
            $($(#[$doc])* pub $field: Option<$kind>,)*
        }

        impl $(<$word: Fact>)? $name $(<$word>)? {
            /// The name and the SQL type of each, in order.
            pub(crate) const COLUMNS: &'static [(&'static str, &'static str)] =
                &[$((stringify!($field), <$kind as Fact>::SQL)),*];

            /// Calls `visit` with the name and the value of each, in order.
            pub(crate) fn each(&self, visit: &mut dyn FnMut(&'static str, Value<'_>)) {
                $(visit(stringify!($field), self.$field.as_ref().map_or(Value::Null, Fact::value));)*
            }

            /// As a map without the facts that are not known.
            pub(crate) fn serialize_known<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.serialize_all(serializer, false)
            }

            fn serialize_all<S: Serializer>(&self, serializer: S, null: bool) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                let mut result = Ok(());
                self.each(&mut |name, value| {
                    if result.is_ok() && (null || value != Value::Null) {
                        result = map.serialize_entry(name, &value);
                    }
                });
                result?;
                map.end()
            }
        }

        impl $(<$word: Stored>)? $name $(<$word>)? {
            /// Takes the value of each, in order.
            pub(crate) fn from_stored<'a>(next: &mut dyn FnMut() -> Value<'a>) -> Self {
                Self { $($field: Stored::from_stored(next()),)* }
            }
        }

        impl $(<$word: Fact>)? Serialize for $name $(<$word>)? {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.serialize_all(serializer, true)
            }
        }
    };
}

facts! {
    /// What the headers state about a file beyond the columns of schema 7.
    Facts;
    /// How many bytes the file is shorter than its container states: 0 of a whole file, more of a
    /// truncated one. `None` if the container does not state its size, or it was not read.
    missing_bytes: u64,
    /// Where the data end that the container states, without padding behind them, or else the file: zeros before it are missing
    /// data. 0 if zeros may be data, as in PCM and raw pictures.
    media_end: u64,
    /// How many bytes of the file are holes, which nothing was ever written to. `None` if the file system does not report holes.
    hole_bytes: u64,
    /// The container's title.
    title: String,
    /// Number of chapters; `None` if the container cannot state it, or they were too far away.
    chapters: u32,
    /// MP4: whether the index is before the media data, so that a player can begin at once.
    is_fast_start: bool,
}

facts! {
    /// What the headers state about a track beyond the columns of schema 7. `Word` is the type of words of the prober's own:
    /// `&'static str` as it reads them, `String` as they are stored.
    TrackFacts<Word>;
    /// BCP 47 language tag (RFC 5646), such as `pt-BR`.
    language_tag: String,
    /// The name of an MP4 track, which ffprobe does not report as its title.
    name: String,
    /// As ffprobe names it, such as `Main 10` or `LC`.
    profile: String,
    /// As people write it: `4.1`, `1b`, of MPEG-2 a name such as `Main`.
    level: String,
    /// Bits per sample of a colour or sound channel; of sound only if it is not compressed with losses.
    bit_depth: u32,
    /// ffmpeg's name, such as `yuv420p10le`.
    pixel_format: String,
    /// ffmpeg's name, such as `bt2020`.
    color_primaries: Word,
    /// ffmpeg's name, such as `smpte2084`.
    color_transfer: Word,
    /// ffmpeg's name, such as `bt2020nc`.
    color_matrix: Word,
    /// `tv` or `pc`.
    color_range: Word,
    /// `sdr`, `pq`, `hdr10`, `hdr10+`, `hlg` or `dolby_vision`; `None` where the headers do not state it.
    hdr_format: Word,
    /// Profile of Dolby Vision and its compatibility id, such as `8.1`.
    dolby_vision: String,
    /// `progressive`, `tt`, `bb`, `tb` or `bt`, as ffprobe names it.
    field_order: Word,
    /// Hz.
    sample_rate: u32,
    /// Bits per second.
    bit_rate: u64,
    /// Seconds.
    duration_seconds: f64,
    /// What the codec's name leaves open, such as `DTS-HD MA` or `Atmos`.
    codec_detail: Word,
    /// For people who do not hear well.
    is_hearing_impaired: bool,
    /// For people who do not see well.
    is_visual_impaired: bool,
    /// A commentary on the film.
    is_commentary: bool,
    /// In the language the film was made in.
    is_original: bool,
    /// Whether players offer the track. This and the flags before are `None` if the container cannot state them.
    is_enabled: bool,
    /// A cover or another still picture; `None` of tracks without pictures.
    is_attached_picture: bool,
    /// The name of an attached file.
    file_name: String,
    /// The MIME type of an attached file.
    mime_type: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_as_they_are_stored() {
        let read: TrackFacts<&'static str> = TrackFacts {
            profile: Some("Main 10".to_owned()),
            hdr_format: Some("hdr10"),
            bit_rate: Some(u64::MAX),
            duration_seconds: Some(1.5),
            is_original: Some(false),
            ..TrackFacts::default()
        };
        let mut values = Vec::new();
        read.each(&mut |name, value| {
            let stored = match value {
                Value::Flag(flag) => Value::Integer(i64::from(flag)),
                Value::Text(text) => Value::Text(Box::leak(text.to_owned().into_boxed_str())),
                Value::Null => Value::Null,
                Value::Integer(number) => Value::Integer(number),
                Value::Real(number) => Value::Real(number),
            };
            values.push((name, stored));
        });
        let names: Vec<_> = TrackFacts::<String>::COLUMNS.iter().map(|(name, _)| *name).collect();
        assert_eq!(values.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
        let mut rest = values.iter();
        let stored = TrackFacts::<String>::from_stored(&mut || rest.next().expect("as many").1);
        let expected = TrackFacts {
            profile: Some("Main 10".to_owned()),
            hdr_format: Some("hdr10".to_owned()),
            bit_rate: Some(i64::MAX.unsigned_abs()),
            duration_seconds: Some(1.5),
            is_original: Some(false),
            ..TrackFacts::default()
        };
        assert_eq!(stored, expected);
        let json = stored.serialize_known(serde_json::value::Serializer).expect("JSON");
        assert_eq!(json["is_original"], false);
        assert_eq!(json.as_object().expect("an object").len(), 5, "{json}");
    }

    #[test]
    fn values_of_other_types_are_no_facts() {
        assert_eq!(u32::from_stored(Value::Integer(-1)), None);
        assert_eq!(u64::from_stored(Value::Text("1")), None);
        assert_eq!(f64::from_stored(Value::Real(f64::INFINITY)), None);
        assert_eq!(String::from_stored(Value::Integer(1)), None);
        assert_eq!(bool::from_stored(Value::Null), None);
    }
}

//! What an expression is once it is read, and how it is written.

use std::fmt::{self, Display, Formatter};

use super::fact::Test;
use super::lexer::Operator;

/// An expression about one file. Its texts are ready to be compared: languages normalised, all others folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// One of at least two holds.
    Or(Vec<Self>),
    /// All of at least two hold.
    And(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// There is such a track.
    Exists(Tracks),
    /// The number of such tracks.
    Count(Tracks, Operator, u64),
    /// A fact of the file; queries only.
    Fact(Test),
}

/// Tracks of a type that pass all filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracks {
    /// Their type.
    pub track_type: TrackType,
    /// No two are about the same field.
    pub filters: Vec<Filter>,
}

/// The types of tracks that an expression can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum TrackType {
    Video,
    Audio,
    Subtitle,
    Attachment,
}

impl TrackType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Video, Self::Audio, Self::Subtitle, Self::Attachment];

    /// As it is written, and stored in `tracks.track_type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Subtitle => "subtitle",
            Self::Attachment => "attachment",
        }
    }
}

/// What a track must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// One of these texts; a title need only contain it.
    Text(Text, Vec<String>),
    /// A number that compares so.
    Number(Number, Operator, u64),
    /// A flag of this value.
    Flag(Flag, bool),
    /// `true`: the title does not mark a commentary. `false`: any track.
    NotCommentary(bool),
}

/// A text of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Text {
    Language,
    Codec,
    Title,
    Profile,
    /// The language tag of BCP 47, such as `pt-BR`.
    Tag,
    /// `sdr`, `hdr10`, `hdr10+`, `dolby_vision`, ….
    HdrFormat,
    /// What the codec leaves open, such as `Atmos`.
    CodecDetail,
}

/// A number of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Number {
    Channels,
    /// Pixels.
    Width,
    /// Pixels.
    Height,
    /// Bits of a colour or a sample.
    BitDepth,
}

/// A flag of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Flag {
    Default,
    Forced,
    Hdr,
    HearingImpaired,
    Commentary,
    Original,
    /// A file of its own beside the video.
    External,
    /// A cover or another still picture.
    AttachedPicture,
}

/// What a filter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Text(Text),
    Number(Number),
    Flag(Flag),
    NotCommentary,
}

/// The filters: name, whether policies know it, what it is about. The first name of a field is the one that is written.
pub(super) const FILTERS: [(&str, bool, Field); 21] = [
    ("lang", true, Field::Text(Text::Language)),
    ("language", true, Field::Text(Text::Language)),
    ("codec", true, Field::Text(Text::Codec)),
    ("channels", true, Field::Number(Number::Channels)),
    ("width", true, Field::Number(Number::Width)),
    ("height", true, Field::Number(Number::Height)),
    ("default", true, Field::Flag(Flag::Default)),
    ("forced", true, Field::Flag(Flag::Forced)),
    ("not_commentary", true, Field::NotCommentary),
    ("title", true, Field::Text(Text::Title)),
    ("profile", false, Field::Text(Text::Profile)),
    ("tag", false, Field::Text(Text::Tag)),
    ("bit_depth", false, Field::Number(Number::BitDepth)),
    ("hdr", false, Field::Flag(Flag::Hdr)),
    ("hdr_format", false, Field::Text(Text::HdrFormat)),
    ("codec_detail", false, Field::Text(Text::CodecDetail)),
    ("hearing_impaired", false, Field::Flag(Flag::HearingImpaired)),
    ("commentary", false, Field::Flag(Flag::Commentary)),
    ("original", false, Field::Flag(Flag::Original)),
    ("external", false, Field::Flag(Flag::External)),
    ("attached_picture", false, Field::Flag(Flag::AttachedPicture)),
];

impl Filter {
    pub(super) fn field(&self) -> Field {
        match self {
            Self::Text(text, _) => Field::Text(*text),
            Self::Number(number, ..) => Field::Number(*number),
            Self::Flag(flag, _) => Field::Flag(*flag),
            Self::NotCommentary(_) => Field::NotCommentary,
        }
    }
}

impl Field {
    pub(super) fn name(self) -> &'static str {
        FILTERS.iter().find(|(.., field)| *field == self).map_or("", |(name, ..)| name)
    }
}

impl Expression {
    /// Calls `found` with the name of every filter and fact that it names.
    pub(super) fn visit(&self, found: &mut dyn FnMut(&'static str)) {
        match self {
            Self::Or(parts) | Self::And(parts) => parts.iter().for_each(|part| part.visit(found)),
            Self::Not(part) => part.visit(found),
            Self::Exists(tracks) | Self::Count(tracks, ..) => {
                tracks.filters.iter().for_each(|filter| found(filter.field().name()));
            }
            Self::Fact(test) => found(test.name()),
        }
    }

    /// Whether it says something about tracks.
    pub(super) fn asks_for_tracks(&self) -> bool {
        match self {
            Self::Or(parts) | Self::And(parts) => parts.iter().any(Self::asks_for_tracks),
            Self::Not(part) => part.asks_for_tracks(),
            Self::Exists(_) | Self::Count(..) => true,
            Self::Fact(_) => false,
        }
    }

    /// Whether more must be known of a file than its own row.
    pub(super) fn needs_more_than_the_file(&self) -> bool {
        let mut names_duplicates = false;
        self.visit(&mut |name| names_duplicates |= name == "duplicate");
        names_duplicates || self.asks_for_tracks()
    }

    /// Whether it says something about files that are missing.
    pub(super) fn asks_for_missing(&self) -> bool {
        match self {
            Self::Or(parts) | Self::And(parts) => parts.iter().any(Self::asks_for_missing),
            Self::Not(part) => part.asks_for_missing(),
            Self::Exists(_) | Self::Count(..) => false,
            Self::Fact(test) => test.asks_for_missing(),
        }
    }

    /// Writes a part of a chain of `and`, or what `not` negates.
    fn write_part(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Or(_) | Self::And(_) => write!(f, "({self})"),
            _ => self.fmt(f),
        }
    }
}

/// Reading what is written gives the same expression.
impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Or(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { " or " })?;
                    match part {
                        Self::Or(_) => write!(f, "({part})")?,
                        _ => part.fmt(f)?,
                    }
                }
                Ok(())
            }
            Self::And(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { " and " })?;
                    part.write_part(f)?;
                }
                Ok(())
            }
            Self::Not(part) => {
                f.write_str("not ")?;
                part.write_part(f)
            }
            Self::Exists(tracks) => write!(f, "exists({tracks})"),
            Self::Count(tracks, operator, number) => {
                write!(f, "count({tracks}) {} {number}", operator.as_str())
            }
            Self::Fact(test) => test.fmt(f),
        }
    }
}

impl Display for Tracks {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.track_type.as_str())?;
        for filter in &self.filters {
            write!(f, ", {}", filter.field().name())?;
            match filter {
                Filter::Text(_, texts) => write!(f, " {}", List(texts))?,
                Filter::Number(_, operator, number) => write!(f, " {} {number}", operator.as_str())?,
                Filter::Flag(_, value) | Filter::NotCommentary(value) => write!(f, " == {value}")?,
            }
        }
        Ok(())
    }
}

/// `== "a"`, or `in ["a", "b"]`.
pub(super) struct List<'a>(pub &'a [String]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let [text] = self.0 {
            return write!(f, "== {}", Quoted(text));
        }
        for (index, text) in self.0.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "in [" } else { ", " }, Quoted(text))?;
        }
        f.write_str("]")
    }
}

/// In the quotes that it does not contain; no text of an expression contains both.
pub(super) struct Quoted<'a>(pub &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let quote = if self.0.contains('"') { '\'' } else { '"' };
        write!(f, "{quote}{}{quote}", self.0)
    }
}

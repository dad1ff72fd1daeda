//! What can be chosen of the log: level, format and stream.

use serde::de::{self, Deserialize, Deserializer};

/// An enumeration whose words are read in any case: other VPO programs accept `INFO` too.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// The word in the configuration.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                match word.to_ascii_lowercase().as_str() {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(de::Error::custom("not one of the words")),
                }
            }
        }
    };
}

words! {
    /// How severe a line is, and `logging.level`. The order is that of verbosity.
    Level {
        /// What needs someone.
        Error = "error",
        /// What may need someone.
        Warning = "warning",
        /// What the daemon does.
        Info = "info",
        /// What a developer wants to see.
        Debug = "debug",
    }
}

words! {
    /// `logging.format`
    Format {
        /// Lines for people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// `logging.output`
    Output {
        /// Standard error.
        Stderr = "stderr",
        /// Standard output.
        Stdout = "stdout",
    }
}

//! Files (contract section 11.1), and what their bytes are made of.

use crate::{BlobId, FileId, Timestamp};

/// A stored file, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its id.
    pub id: FileId,
    /// When it was made; for one that came as an upload, when the upload was.
    pub created_at: Timestamp,
    /// As the client sent it, whatever it is.
    pub filename: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Its size.
    pub bytes: u64,
    /// From then on there is no such file.
    pub expires_at: Option<Timestamp>,
    /// Whether it can be used.
    pub status: FileStatus,
}

impl File {
    /// The extension of its name in lower case, with the dot: `.pdf`. Empty where there is none.
    pub fn extension(&self) -> String {
        let name = self.filename.rsplit(['/', '\\']).next().unwrap_or_default();
        match name.rfind('.') {
            Some(dot) => name.get(dot..).unwrap_or_default().to_lowercase(),
            None => String::new(),
        }
    }
}

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$of])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name on the wire and in a row.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// What has this name.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == name)
            }
        }
    };
}
pub(crate) use names;

names! {
    /// What a file is for.
    Purpose {
        /// Training.
        FineTune = "fine-tune";
        /// The tools of assistants.
        Assistants = "assistants";
        /// Input of a batch.
        Batch = "batch";
        /// Anything.
        UserData = "user_data";
        /// Images in messages.
        Vision = "vision";
        /// Data of evaluations.
        Evals = "evals";
        /// Made by a tool.
        AssistantsOutput = "assistants_output";
        /// Made by a batch.
        BatchOutput = "batch_output";
        /// Made by training.
        FineTuneResults = "fine-tune-results";
    }
}

impl Purpose {
    /// Those that a client may give, in the order in which the original named them.
    pub const GIVEN: [Self; 6] = [
        Self::FineTune,
        Self::Assistants,
        Self::Batch,
        Self::UserData,
        Self::Vision,
        Self::Evals,
    ];

    /// Seconds from the creation to the expiry of a file that was given no other: 30 days for input
    /// of batches, never for others.
    pub fn lifetime_s(self) -> Option<u32> {
        (self == Self::Batch).then_some(30 * 24 * 3600)
    }

    /// Whether its content may be fetched; the original kept that of some back.
    pub fn is_downloadable(self) -> bool {
        !matches!(self, Self::Assistants | Self::UserData)
    }
}

names! {
    /// Whether a file can be used.
    FileStatus {
        /// It was taken in.
        Uploaded = "uploaded";
        /// It can be used. Every file is, from the first.
        Processed = "processed";
        /// It can not.
        Error = "error";
    }
}

/// An object that holds bytes, which are all there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Its id.
    pub id: BlobId,
    /// BLAKE3 of the bytes, as 64 hex digits.
    pub hash: String,
    /// How many there are.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for purpose in Purpose::ALL {
            assert_eq!(Purpose::parse(purpose.as_str()), Some(*purpose));
        }
        assert_eq!(Purpose::parse("fine_tune"), None);
        assert_eq!(FileStatus::parse("processed"), Some(FileStatus::Processed));
    }

    #[test]
    fn an_extension_is_what_follows_the_last_dot_of_the_last_part() {
        let of = |filename: &str| {
            File {
                id: FileId::trusted("file-1"),
                created_at: Timestamp(0),
                filename: filename.into(),
                purpose: Purpose::Assistants,
                bytes: 0,
                expires_at: None,
                status: FileStatus::Processed,
            }
            .extension()
        };
        assert_eq!(of("report.final.PDF"), ".pdf");
        assert_eq!(of("text/csv"), "");
        assert_eq!(of("a.b/c"), "");
        assert_eq!(of("naïve.Übung"), ".übung");
    }
}

//! Names of objects.

use std::fmt;

use crate::Error;

/// `owner/id`: an object of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    owner: String,
    id: String,
}

impl Key {
    /// Both are of letters, digits, `-` and `_`, 3 to 200 of them: they become names of folders and
    /// files. Error: [`Error::NotAKey`].
    pub fn new(owner: &str, id: &str) -> Result<Self, Error> {
        for part in [owner, id] {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if !(3..=200).contains(&part.len()) || !part.bytes().all(fits) {
                return Err(Error::NotAKey(part.to_owned()));
            }
        }
        Ok(Self {
            owner: owner.to_owned(),
            id: id.to_owned(),
        })
    }

    /// Whose it is.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Which it is.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Spreads the objects of an owner over many folders.
    pub(crate) fn fan(&self) -> &str {
        // Ids are ASCII, and end in their random part.
        &self.id[self.id.len() - 2..]
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let key = Key::new("ws_1", "blob_abc").unwrap();
        assert_eq!(
            (key.to_string().as_str(), key.fan()),
            ("ws_1/blob_abc", "bc")
        );
        for bad in ["", "..", "a", "../x", "a/b", "a.b", "naïve", "a\\b", "a\0b"] {
            assert!(Key::new(bad, "blob_1").is_err(), "{bad:?}");
            assert!(Key::new("ws_1", bad).is_err(), "{bad:?}");
        }
    }
}

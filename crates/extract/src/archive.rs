//! The archives that docx, pptx and xlsx are, read within limits.

use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive, result::ZipError};

use crate::{format::Format, limits::Limits, refusal::Refusal, sniff};

/// Unpacked bytes from which the ratio to the packed ones is looked at.
const RATIO_FROM: u64 = 16 << 20;

/// An archive whose entries are unpacked one at a time, whole, by name.
///
/// What an entry's header says of its size is not believed: bytes are counted as they come.
pub(crate) struct Archive<'b> {
    zip: ZipArchive<Cursor<&'b [u8]>>,
    limits: Limits,
    unpacked_left: u64,
}

impl<'b> Archive<'b> {
    /// Reads the directory of the archive.
    pub(crate) fn open(bytes: &'b [u8], limits: &Limits) -> Result<Self, Refusal> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken(&error))?;
        if zip.len() > limits.entries {
            return Err(Refusal::invalid(format!(
                "The file is an archive of {} entries; the limit is {}.",
                zip.len(),
                limits.entries
            )));
        }
        Ok(Self {
            zip,
            limits: limits.clone(),
            unpacked_left: limits.unpacked_bytes,
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The kind of office document that the names of the entries show.
    pub(crate) fn kind(&self) -> Option<Format> {
        let names: Vec<_> = self.zip.file_names().filter_map(Result::ok).collect();
        sniff::kind_of_archive(names.iter().map(AsRef::as_ref))
    }

    /// The names of the entries that begin and end so, in the order of the number between.
    pub(crate) fn numbered(&self, begin: &str, end: &str) -> Vec<String> {
        let mut found: Vec<(u32, String)> = self
            .zip
            .file_names()
            .filter_map(Result::ok)
            .filter_map(|name| {
                let number = name.strip_prefix(begin)?.strip_suffix(end)?;
                Some((number.parse().ok()?, name.into_owned()))
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, name)| name).collect()
    }

    /// The unpacked bytes of an entry; `None` when there is none of this name.
    pub(crate) fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(index) = self.zip.index_for_name(name.trim_start_matches('/')) else {
            return Ok(None);
        };
        let entry = self
            .zip
            .by_index_data(index)
            .map_err(|error| broken(&error))?;
        if entry.encrypted() {
            return Err(Refusal::invalid(
                "The file is protected by a password. Remove the protection and upload it again.",
            ));
        }
        if !matches!(
            entry.compression(),
            CompressionMethod::Stored | CompressionMethod::Deflated
        ) {
            return Err(Refusal::unsupported(format!(
                "The part {name} of the file is packed in a way that office programs do not use. Save it again with one."
            )));
        }
        let packed = entry.compressed_size();
        let allowed = self
            .limits
            .entry_bytes
            .min(self.unpacked_left)
            .min(RATIO_FROM.max(packed.saturating_mul(self.limits.ratio)));
        let mut bytes = Vec::new();
        let reader = self.zip.by_index(index).map_err(|error| broken(&error))?;
        let mut reader = reader.take(allowed + 1);
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| Refusal::invalid(format!(
                "The part {name} of the file is damaged ({error}). Save the file again and upload it."
            )))?;
        let unpacked = bytes.len() as u64;
        if unpacked > allowed {
            return Err(Refusal::invalid(format!(
                "The part {name} of the file unpacks to more than {allowed} bytes from {packed}, which is over the limit."
            )));
        }
        self.unpacked_left -= unpacked;
        Ok(Some(bytes))
    }
}

fn broken(error: &ZipError) -> Refusal {
    Refusal::invalid(format!(
        "The file is a damaged archive ({error}): office documents are archives. Save it again and upload it."
    ))
}

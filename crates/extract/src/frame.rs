//! What parent and child say to each other.
//!
//! Both ways the same: four bytes with the length of a header (little endian), the header as JSON, and
//! as many bytes as it says. The parent sends one [`Request`] with the file and closes; the child sends
//! one [`Answer`] with the text and ends.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    format::Format,
    limits::{Confinement, Limits},
    refusal::Refusal,
    text::Place,
};

/// Longest header of a request, in bytes.
const LONGEST_REQUEST: usize = 64 << 10;

/// What the child is to do. The limits of the process come first in its life: it takes them on before
/// it reads a byte of the file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) format: Format,
    pub(crate) limits: Limits,
    pub(crate) confinement: Confinement,
    /// Bytes of the file, which follow.
    pub(crate) bytes: u64,
}

/// What the child found.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// The text follows.
    Text {
        /// Its length in bytes.
        bytes: u64,
        places: Vec<Place>,
    },
    /// Nothing follows.
    Refused(Refusal),
}

/// A header with its length, as it is sent.
pub(crate) fn encode(header: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(header)?;
    let length = u32::try_from(json.len()).map_err(io::Error::other)?;
    Ok([&length.to_le_bytes()[..], &json].concat())
}

/// Reads the header of a request.
pub(crate) fn read_request(from: &mut impl Read) -> io::Result<Request> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST_REQUEST {
        return Err(io::Error::other("the header of the request is too long"));
    }
    let mut json = vec![0; length];
    from.read_exact(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

/// The header of an answer, and where what follows it begins.
pub(crate) fn read_header<H: DeserializeOwned>(bytes: &[u8]) -> io::Result<(H, usize)> {
    let cut_off = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut_off)?;
    let length = u32::from_le_bytes(*length) as usize;
    let json = rest.get(..length).ok_or_else(cut_off)?;
    Ok((serde_json::from_slice(json)?, 4 + length))
}

/// Sends an answer.
pub(crate) fn write_answer(to: &mut impl Write, answer: &Answer, text: &str) -> io::Result<()> {
    to.write_all(&encode(answer)?)?;
    to.write_all(text.as_bytes())?;
    to.flush()
}

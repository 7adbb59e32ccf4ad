//! Text that is kept as it is.

use crate::{encoding, refusal::Refusal, text::Writer};

/// Writes text and code unchanged, but for the ends of lines.
pub(crate) fn write(bytes: &[u8], writer: &mut Writer) -> Result<(), Refusal> {
    let text = encoding::decode(bytes)?;
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            writer.push("\n")?;
        }
        writer.push(line.strip_suffix('\r').unwrap_or(line))?;
    }
    Ok(())
}

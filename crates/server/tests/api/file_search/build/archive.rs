//! Zip archives and what deflate packs.

/// An entry as it stands in the archive.
struct Entry<'e> {
    name: &'e str,
    /// 0: as it is; 8: deflate.
    method: u16,
    sum: u32,
    packed: Vec<u8>,
    unpacked: usize,
}

/// An archive of entries that are not packed.
pub(crate) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let entries = entries.iter().map(|(name, bytes)| Entry {
        name,
        method: 0,
        sum: checksum(bytes),
        packed: bytes.to_vec(),
        unpacked: bytes.len(),
    });
    archive(&entries.collect::<Vec<_>>())
}

/// An archive whose entry unpacks to so many spaces.
pub(crate) fn bomb(name: &str, unpacked: usize) -> Vec<u8> {
    archive(&[Entry {
        name,
        method: 8,
        // Nobody gets as far as to compare it.
        sum: 0,
        packed: deflated_spaces(unpacked),
        unpacked,
    }])
}

fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let mut fields = Vec::new();
        // Version, flags, method, time, date.
        for field in [20, 0, entry.method, 0, 0x21] {
            fields.extend(field.to_le_bytes());
        }
        fields.extend(entry.sum.to_le_bytes());
        for field in [entry.packed.len(), entry.unpacked] {
            fields.extend(four(field));
        }
        fields.extend(two(entry.name.len()));
        fields.extend([0; 2]);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend(four(bytes.len()));
        directory.extend(entry.name.bytes());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(fields);
        bytes.extend(entry.name.bytes());
        bytes.extend(&entry.packed);
    }
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend([two(entries.len()), two(entries.len())].concat());
    end.extend([four(directory.len()), four(bytes.len())].concat());
    end.extend([0; 2]);
    [bytes, directory, end].concat()
}

fn two(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap().to_le_bytes()
}

fn four(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap().to_le_bytes()
}

/// CRC-32.
fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg());
        }
    }
    !sum
}

/// At least so many spaces, as deflate packs them: one, and the byte before 258 times more, again and
/// again, in the codes that need no table.
pub(crate) fn deflated_spaces(count: usize) -> Vec<u8> {
    const LAST_BLOCK: (u64, u32) = (0b011, 3);
    const SPACE: (u64, u32) = (0x0A, 8);
    const AGAIN: (u64, u32) = (0xA3, 13);
    const END: (u64, u32) = (0, 7);
    let mut codes = vec![LAST_BLOCK, SPACE];
    codes.resize(2 + count.div_ceil(258), AGAIN);
    codes.push(END);
    let (mut bytes, mut held, mut length) = (Vec::new(), 0, 0);
    for (code, bits) in codes {
        held |= code << length;
        length += bits;
        while length >= 8 {
            bytes.push((held & 0xFF) as u8);
            held >>= 8;
            length -= 8;
        }
    }
    bytes.push((held & 0xFF) as u8);
    bytes
}

//! Rich text, which is what many files named `.doc` hold.

use encoding_rs::{Encoding, WINDOWS_1252};

use crate::{refusal::Refusal, text::Writer};

/// Destinations that hold no text of the document.
const SKIPPED: &[&str] = &[
    "fonttbl",
    "colortbl",
    "stylesheet",
    "info",
    "pict",
    "object",
    "themedata",
    "colorschememapping",
    "datastore",
    "latentstyles",
    "listtable",
    "listoverridetable",
    "rsidtbl",
    "generator",
    "xmlnstbl",
    "fldinst",
    "filetbl",
    "revtbl",
    "bkmkstart",
    "bkmkend",
    "mmathPr",
    "nonshppict",
    "objdata",
    "template",
    "operator",
    "author",
];

/// Groups inside each other; more are read as if they were in the last one.
const DEEPEST: usize = 1024;

/// Writes the text of a rich text file.
pub(crate) fn write(bytes: &[u8], writer: &mut Writer) -> Result<(), Refusal> {
    let mut rtf = Rtf {
        bytes,
        at: 0,
        groups: vec![Group::default()],
        too_deep: 0,
        encoding: WINDOWS_1252,
        pending: Vec::new(),
        surrogate: None,
        starred: false,
        writer,
    };
    rtf.read()
}

#[derive(Clone, Copy)]
struct Group {
    skipped: bool,
    /// Characters that stand in for a `\u` and are passed over.
    stand_ins: usize,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            skipped: false,
            stand_ins: 1,
        }
    }
}

struct Rtf<'b, 'w> {
    bytes: &'b [u8],
    at: usize,
    groups: Vec<Group>,
    too_deep: usize,
    encoding: &'static Encoding,
    /// Bytes of the code page that wait to be decoded together.
    pending: Vec<u8>,
    /// The first half of a character of UTF-16.
    surrogate: Option<u16>,
    /// `\*` came last: the next word is a destination that may be unknown.
    starred: bool,
    writer: &'w mut Writer,
}

impl Rtf<'_, '_> {
    fn read(&mut self) -> Result<(), Refusal> {
        while let Some(byte) = self.next() {
            match byte {
                b'{' => {
                    self.flush()?;
                    if self.groups.len() < DEEPEST {
                        self.groups.push(self.group());
                    } else {
                        self.too_deep += 1;
                    }
                }
                b'}' => {
                    self.flush()?;
                    if self.too_deep > 0 {
                        self.too_deep -= 1;
                    } else if self.groups.len() > 1 {
                        self.groups.pop();
                    }
                }
                b'\\' => self.control()?,
                b'\r' | b'\n' | 0 => {}
                byte => self.byte(byte),
            }
        }
        self.flush()
    }

    fn control(&mut self) -> Result<(), Refusal> {
        let Some(first) = self.next() else {
            return Ok(());
        };
        if !first.is_ascii_alphabetic() {
            return match first {
                b'\'' => {
                    let digits = self.bytes.get(self.at..self.at + 2).unwrap_or_default();
                    let digits = std::str::from_utf8(digits).unwrap_or_default();
                    if let Ok(byte) = u8::from_str_radix(digits, 16) {
                        self.at += 2;
                        self.byte(byte);
                    }
                    Ok(())
                }
                b'*' => {
                    self.starred = true;
                    Ok(())
                }
                b'~' => self.text("\u{A0}"),
                b'_' => self.text("-"),
                b'\\' | b'{' | b'}' => {
                    self.byte(first);
                    Ok(())
                }
                b'\r' | b'\n' => self.break_line(true),
                _ => Ok(()),
            };
        }
        let start = self.at - 1;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphabetic()) && self.at - start < 32 {
            self.at += 1;
        }
        let word = String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned();
        let number = self.number();
        if self.peek() == Some(b' ') {
            self.at += 1;
        }
        self.word(&word, number)
    }

    fn number(&mut self) -> Option<i32> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) && self.at - start < 11 {
            self.at += 1;
        }
        std::str::from_utf8(&self.bytes[start..self.at])
            .ok()?
            .parse()
            .ok()
    }

    fn word(&mut self, word: &str, number: Option<i32>) -> Result<(), Refusal> {
        let starred = std::mem::take(&mut self.starred);
        if SKIPPED.contains(&word) || (starred && !matches!(word, "shppict" | "footnote")) {
            self.flush()?;
            if let Some(group) = self.groups.last_mut() {
                group.skipped = true;
            }
            return Ok(());
        }
        match word {
            "par" | "sect" | "page" => self.break_line(true),
            "line" | "row" => self.break_line(false),
            "cell" | "nestcell" => self.text(" | "),
            "tab" => self.text(" "),
            "emdash" => self.text("—"),
            "endash" => self.text("–"),
            "lquote" => self.text("‘"),
            "rquote" => self.text("’"),
            "ldblquote" => self.text("“"),
            "rdblquote" => self.text("”"),
            "bullet" => self.text("•"),
            "ansicpg" => {
                self.encoding = code_page(number.unwrap_or_default());
                Ok(())
            }
            "uc" => {
                if let Some(group) = self.groups.last_mut() {
                    group.stand_ins = usize::try_from(number.unwrap_or(1)).unwrap_or(1).min(8);
                }
                Ok(())
            }
            "u" => self.unicode(number.unwrap_or_default()),
            "bin" => {
                let length = usize::try_from(number.unwrap_or_default()).unwrap_or_default();
                self.at = self.at.saturating_add(length).min(self.bytes.len());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// One unit of UTF-16, and past its stand-ins.
    fn unicode(&mut self, number: i32) -> Result<(), Refusal> {
        self.flush()?;
        for _ in 0..self.group().stand_ins {
            match self.peek() {
                Some(b'\\') if self.bytes.get(self.at + 1) == Some(&b'\'') => {
                    self.at = (self.at + 4).min(self.bytes.len());
                }
                Some(b'\\' | b'{' | b'}') | None => break,
                Some(_) => self.at += 1,
            }
        }
        #[expect(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "the format writes units of UTF-16 as signed numbers of 16 bits"
        )]
        let unit = number as u16;
        if (0xD800..0xDC00).contains(&unit) {
            self.surrogate = Some(unit);
            return Ok(());
        }
        let units: Vec<u16> = self.surrogate.take().into_iter().chain([unit]).collect();
        let text: String = char::decode_utf16(units).filter_map(Result::ok).collect();
        self.text(&text)
    }

    fn byte(&mut self, byte: u8) {
        if !self.group().skipped {
            self.pending.push(byte);
        }
    }

    /// Decodes what waits.
    fn flush(&mut self) -> Result<(), Refusal> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let (text, _) = self.encoding.decode_without_bom_handling(&self.pending);
        let written = self.writer.words(&text.replace('\0', ""));
        self.pending.clear();
        written
    }

    fn text(&mut self, text: &str) -> Result<(), Refusal> {
        self.flush()?;
        if self.group().skipped {
            return Ok(());
        }
        self.writer.words(text)
    }

    fn break_line(&mut self, block: bool) -> Result<(), Refusal> {
        self.flush()?;
        match (self.group().skipped, block) {
            (true, _) => Ok(()),
            (false, true) => self.writer.end_block(),
            (false, false) => self.writer.end_line(),
        }
    }

    fn group(&self) -> Group {
        self.groups.last().copied().unwrap_or_default()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

/// The encoding of a Windows code page; 1252 where it is not known.
fn code_page(number: i32) -> &'static Encoding {
    let label = match number {
        874 | 1250..=1258 => format!("windows-{number}"),
        866 => "ibm866".to_owned(),
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        65001 => "utf-8".to_owned(),
        _ => return WINDOWS_1252,
    };
    Encoding::for_label(label.as_bytes()).unwrap_or(WINDOWS_1252)
}

//! JSON, laid out so that a value stands near its key.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::{encoding, refusal::Refusal, text::Writer};

/// An object or array no longer than this stands on one line, in bytes.
const ONE_LINE: usize = 120;

/// Deepest level that is indented: a document of brackets grows by no more than this.
const DEEPEST_INDENT: usize = 6;

/// Deepest document that is laid out; a deeper one is kept as it is.
const DEEPEST: usize = 128;

/// Writes JSON values, one after another, with a key, its value and its small neighbours on one line,
/// and with characters instead of their escapes.
///
/// What is no JSON (comments, a value that was cut off) is text like any other, and kept as it is.
pub(crate) fn write(bytes: &[u8], writer: &mut Writer) -> Result<(), Refusal> {
    let text = encoding::decode(bytes)?;
    let mut values = serde_json::Deserializer::from_str(&text).into_iter::<IgnoredAny>();
    if !values.by_ref().all(|value| value.is_ok()) {
        return crate::plain::write(bytes, writer);
    }
    let (spans, deepest) = spans(text.as_bytes());
    if deepest > DEEPEST {
        return crate::plain::write(bytes, writer);
    }
    let mut layout = Layout {
        text: &text,
        spans: &spans,
        next_span: 0,
        at: 0,
        writer,
    };
    layout.skip_space();
    while layout.at < text.len() {
        layout.value(0)?;
        layout.writer.end_line()?;
        layout.skip_space();
    }
    Ok(())
}

/// For each opening bracket in order, how many bytes its value takes without the space between tokens;
/// and how many are open at once.
fn spans(text: &[u8]) -> (Vec<u32>, usize) {
    let mut deepest = 0;
    let mut spans: Vec<u32> = Vec::new();
    let mut open: Vec<(usize, usize)> = Vec::new();
    let (mut solid, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        if in_string {
            solid += 1;
            if escaped {
                escaped = false;
            } else if *byte == b'\\' {
                escaped = true;
            } else if *byte == b'"' {
                in_string = false;
            }
            continue;
        }
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b'"' => in_string = true,
            b'{' | b'[' => {
                open.push((spans.len(), solid));
                spans.push(u32::MAX);
                deepest = deepest.max(open.len());
            }
            b'}' | b']' => {
                if let Some((index, start)) = open.pop() {
                    spans[index] = u32::try_from(solid + 1 - start).unwrap_or(u32::MAX);
                }
            }
            _ => {}
        }
        solid += 1;
    }
    (spans, deepest)
}

/// Walks text that is known to be JSON, and not too deep.
struct Layout<'t, 'w> {
    text: &'t str,
    spans: &'t [u32],
    next_span: usize,
    at: usize,
    writer: &'w mut Writer,
}

impl Layout<'_, '_> {
    fn value(&mut self, depth: usize) -> Result<(), Refusal> {
        match self.peek() {
            Some(b'{' | b'[') => self.container(depth),
            Some(b'"') => self.string(),
            _ => self.scalar(),
        }
    }

    fn container(&mut self, depth: usize) -> Result<(), Refusal> {
        let span = self.spans.get(self.next_span).copied().unwrap_or(u32::MAX);
        self.next_span += 1;
        let on_one_line = span as usize <= ONE_LINE;
        let (open, close) = match self.peek() {
            Some(b'{') => ("{", b'}'),
            _ => ("[", b']'),
        };
        self.at += 1;
        self.writer.push(open)?;
        self.skip_space();
        let mut empty = true;
        while self.peek().is_some_and(|byte| byte != close) {
            empty = false;
            if !on_one_line {
                self.line(depth + 1)?;
            }
            self.value(depth + 1)?;
            self.skip_space();
            if self.peek() == Some(b':') {
                self.at += 1;
                self.writer.push(": ")?;
                self.skip_space();
                self.value(depth + 1)?;
                self.skip_space();
            }
            if self.peek() == Some(b',') {
                self.at += 1;
                self.writer.push(if on_one_line { ", " } else { "," })?;
                self.skip_space();
            }
        }
        self.at += 1;
        if !on_one_line && !empty {
            self.line(depth)?;
        }
        self.writer.push(if close == b'}' { "}" } else { "]" })
    }

    /// A string with characters for escapes, but for quotes, backslashes and controls.
    fn string(&mut self) -> Result<(), Refusal> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        let mut length = 0;
        while let Some(byte) = rest.get(length) {
            match byte {
                b'"' => break,
                b'\\' => length += 2,
                _ => length += 1,
            }
        }
        let end = (self.at + length + 2).min(self.text.len());
        let source = &self.text[self.at..end];
        self.at = end;
        if !source.contains("\\u") {
            return self.writer.push(source);
        }
        match serde_json::from_str::<Cow<'_, str>>(source).map(|text| serde_json::to_string(&text))
        {
            Ok(Ok(text)) => self.writer.push(&text),
            // Half a surrogate pair is JSON by its grammar, though it is no character.
            _ => self.writer.push(source),
        }
    }

    fn scalar(&mut self) -> Result<(), Refusal> {
        let rest = &self.text[self.at..];
        let end = rest
            .find(|char: char| char.is_ascii_whitespace() || ",:{}[]\"".contains(char))
            .unwrap_or(rest.len())
            .max(rest.chars().next().map_or(0, char::len_utf8));
        self.writer.push(&rest[..end])?;
        self.at += end;
        Ok(())
    }

    fn line(&mut self, depth: usize) -> Result<(), Refusal> {
        self.writer.push("\n")?;
        self.writer.push(&"  ".repeat(depth.min(DEEPEST_INDENT)))
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

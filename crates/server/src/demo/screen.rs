//! What the tour looks like: headings, commands, results, running text, diffs, the closing box.

use std::io::{self, Write};
use std::time::Duration;

use super::diff::Line;

/// Columns of running text and of the box, without the indent.
const WIDTH: usize = 76;
const INDENT: &str = "    ";

#[derive(Clone, Copy, Debug)]
pub(super) enum Style {
    Bold,
    Dim,
    Red,
    Green,
    Cyan,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "31",
            Self::Green => "32",
            Self::Cyan => "36",
        }
    }
}

/// Writes the tour to `out`; escape sequences only when `colour` is set.
#[derive(Debug)]
pub(super) struct Screen<W> {
    out: W,
    colour: bool,
    step: usize,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, colour: bool) -> Self {
        Self {
            out,
            colour,
            step: 0,
        }
    }

    pub(super) fn paint(&self, style: Style, text: &str) -> String {
        if self.colour {
            format!("\x1b[{}m{text}\x1b[0m", style.code())
        } else {
            text.to_owned()
        }
    }

    pub(super) fn title(&mut self, title: &str, line: &str) -> io::Result<()> {
        let title = self.paint(Style::Bold, title);
        writeln!(self.out, "\n {title}\n {line}\n")
    }

    /// A numbered step, and why it is there.
    pub(super) fn step(&mut self, title: &str, why: &str) -> io::Result<()> {
        self.step += 1;
        let number = self.paint(Style::Cyan, &format!("{:>2}", self.step));
        let title = self.paint(Style::Bold, title);
        writeln!(self.out, "\n{number}  {title}")?;
        self.note(why)
    }

    pub(super) fn note(&mut self, text: &str) -> io::Result<()> {
        for line in wrap(text, WIDTH) {
            let line = self.paint(Style::Dim, &line);
            writeln!(self.out, "{INDENT}{line}")?;
        }
        Ok(())
    }

    /// A command of the shell, `$ ` before its first line.
    pub(super) fn command(&mut self, command: &str) -> io::Result<()> {
        for (index, line) in command.lines().enumerate() {
            let prompt = if index == 0 { "$ " } else { "  " };
            let line = self.paint(Style::Cyan, &format!("{prompt}{line}"));
            writeln!(self.out, "{INDENT}{line}")?;
        }
        Ok(())
    }

    /// The answer to a call: its status and time, then what matters of it.
    pub(super) fn result(&mut self, status: u16, took: Duration, text: &str) -> io::Result<()> {
        let status = self.paint(Style::Green, &format!("✓ {status}"));
        let took = self.paint(Style::Dim, &format!("in {}", duration(took)));
        writeln!(self.out, "{INDENT}{status} {took}  {text}")
    }

    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{INDENT}{text}")
    }

    pub(super) fn diff(&mut self, lines: &[Line]) -> io::Result<()> {
        for line in lines {
            let line = match line {
                Line::Same(text) => format!("  {text}"),
                Line::Removed(text) => self.paint(Style::Red, &format!("- {text}")),
                Line::Added(text) => self.paint(Style::Green, &format!("+ {text}")),
            };
            writeln!(self.out, "{INDENT}  {line}")?;
        }
        Ok(())
    }

    pub(super) fn boxed(&mut self, title: &str, lines: &[String]) -> io::Result<()> {
        let width = lines
            .iter()
            .map(|line| line.chars().count())
            .chain([WIDTH])
            .max()
            .unwrap_or(WIDTH);
        let rule = "─".repeat((width + 1).saturating_sub(title.chars().count() + 2));
        let title = self.paint(Style::Bold, title);
        writeln!(self.out, "\n  ╭─ {title} {rule}╮")?;
        for line in lines {
            let padding = " ".repeat(width.saturating_sub(line.chars().count()));
            writeln!(self.out, "  │ {line}{padding} │")?;
        }
        writeln!(self.out, "  ╰{}╯\n", "─".repeat(width + 2))
    }

    /// Begins running text that comes in pieces; see [`Running`].
    pub(super) fn running(&mut self) -> Running<'_, W> {
        Running {
            screen: self,
            column: 0,
            word: String::new(),
        }
    }
}

/// Text that comes in pieces and is wrapped as it comes, each word shown once it is complete.
#[derive(Debug)]
pub(super) struct Running<'a, W> {
    screen: &'a mut Screen<W>,
    column: usize,
    word: String,
}

impl<W: Write> Running<'_, W> {
    pub(super) fn push(&mut self, piece: &str) -> io::Result<()> {
        for character in piece.chars() {
            match character {
                '\n' => {
                    self.end_word()?;
                    self.column = 0;
                }
                character if character.is_whitespace() => self.end_word()?,
                // A model's words are data: what would steer the terminal is not shown.
                character if character.is_control() => {}
                character => self.word.push(character),
            }
        }
        self.screen.out.flush()
    }

    /// Shows the last word and ends the line.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.end_word()?;
        writeln!(self.screen.out)
    }

    fn end_word(&mut self) -> io::Result<()> {
        let word = std::mem::take(&mut self.word);
        let length = word.chars().count();
        if length == 0 {
            return Ok(());
        }
        let out = &mut self.screen.out;
        if self.column == 0 || self.column + 1 + length > WIDTH - 2 {
            let bar = if self.screen.colour {
                "\x1b[36m│\x1b[0m"
            } else {
                "│"
            };
            write!(out, "\n{INDENT}{bar} {word}")?;
            self.column = length;
        } else {
            write!(out, " {word}")?;
            self.column += 1 + length;
        }
        Ok(())
    }
}

/// `1.8 ms`, `240 ms`, `2.1 s`.
pub(super) fn duration(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1000.0;
    match milliseconds {
        ..10.0 => format!("{milliseconds:.1} ms"),
        10.0..1000.0 => format!("{milliseconds:.0} ms"),
        _ => format!("{:.1} s", milliseconds / 1000.0),
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines.last().is_some_and(|line| {
            !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width
        });
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(
        colour: bool,
        show: impl FnOnce(&mut Screen<&mut Vec<u8>>) -> io::Result<()>,
    ) -> String {
        let mut out = Vec::new();
        show(&mut Screen::new(&mut out, colour)).expect("a Vec takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn running_text_is_wrapped_and_a_word_in_pieces_stays_whole() {
        let text = shown(false, |screen| {
            let mut running = screen.running();
            for piece in [
                "Riv",
                "ers ",
                "bend\nin\x1b[31m the",
                " valley ",
                &"x".repeat(70),
                "\n",
            ] {
                running.push(piece)?;
            }
            running.end()
        });
        let long = "x".repeat(70);
        assert_eq!(
            text,
            format!("\n    │ Rivers bend\n    │ in[31m the valley\n    │ {long}\n")
        );
    }

    #[test]
    fn a_diff_has_signs_without_colours_and_both_with_them() {
        let lines = [
            Line::Same("a  1".to_owned()),
            Line::Removed("b  2".to_owned()),
            Line::Added("b  3".to_owned()),
        ];
        assert_eq!(
            shown(false, |screen| screen.diff(&lines)),
            "        a  1\n      - b  2\n      + b  3\n"
        );
        assert_eq!(
            shown(true, |screen| screen.diff(&lines)),
            "        a  1\n      \x1b[31m- b  2\x1b[0m\n      \x1b[32m+ b  3\x1b[0m\n"
        );
    }

    #[test]
    fn a_box_is_as_wide_as_its_longest_line() {
        let text = shown(false, |screen| {
            screen.boxed("Next", &["é".repeat(90), "short".to_owned()])
        });
        let widths: Vec<usize> = text
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| line.chars().count())
            .collect();
        assert_eq!(widths, [96, 96, 96, 96]);
    }

    #[test]
    fn durations_keep_two_figures() {
        let texts =
            [900, 1_800, 240_000, 2_100_000].map(|micros| duration(Duration::from_micros(micros)));
        assert_eq!(texts, ["0.9 ms", "1.8 ms", "240 ms", "2.1 s"]);
    }
}

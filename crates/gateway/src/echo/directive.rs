//! What the last user message tells the echo model to do (`docs/echo.md`).

use std::time::Duration;

/// A line that starts with this is a directive.
const MARK: &str = "/echo ";

/// Everything that the directives of one message ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Directives {
    /// Calls to make, a list for each model turn; no list is empty.
    pub(crate) rounds: Vec<Vec<Call>>,
    /// What to say before the calls of the first round.
    pub(crate) say: Option<String>,
    /// The status to fail with.
    pub(crate) fail: Option<u16>,
    /// Wait before each word.
    pub(crate) pace: Duration,
    /// Refuse with these words.
    pub(crate) refuse: Option<String>,
    /// Stop after so many words.
    pub(crate) length: Option<usize>,
    /// The message without its directive lines.
    pub(crate) rest: String,
}

/// A function call to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// As written, JSON or not; `{}` when nothing was written.
    pub(crate) arguments: String,
}

/// Reads a message. The error is a directive line that makes no sense.
pub(crate) fn parse(message: &str) -> Result<Directives, String> {
    let mut found = Directives {
        rounds: vec![Vec::new()],
        ..Directives::default()
    };
    let mut rest = Vec::new();
    for line in message.split('\n') {
        match line.strip_prefix(MARK).map(str::trim) {
            Some(directive) => found
                .take(directive)
                .ok_or_else(|| line.trim().to_owned())?,
            None => rest.push(line),
        }
    }
    found.rounds.retain(|round| !round.is_empty());
    found.rest = rest.join("\n");
    Ok(found)
}

impl Directives {
    /// Takes one directive, `VERB VALUE`; `None` when it makes no sense.
    fn take(&mut self, directive: &str) -> Option<()> {
        let (verb, value) = directive
            .split_once(char::is_whitespace)
            .map_or((directive, ""), |(verb, value)| (verb, value.trim()));
        match verb {
            "call" => self.rounds.last_mut()?.push(call(value)?),
            "then" if value.is_empty() => self.rounds.push(Vec::new()),
            "say" => add_line(&mut self.say, value),
            "refuse" => add_line(&mut self.refuse, value),
            "fail" => self.fail = Some(status(value)?),
            "pace" => self.pace = Duration::from_millis(value.parse::<u32>().ok()?.into()),
            "length" => self.length = Some(value.parse().ok()?),
            _ => return None,
        }
        Some(())
    }
}

fn call(value: &str) -> Option<Call> {
    let (name, arguments) = value
        .split_once(char::is_whitespace)
        .map_or((value, ""), |(name, arguments)| (name, arguments.trim()));
    let arguments = if arguments.is_empty() {
        "{}"
    } else {
        arguments
    };
    (!name.is_empty()).then(|| Call {
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    })
}

fn status(value: &str) -> Option<u16> {
    value
        .parse()
        .ok()
        .filter(|status| (400..600).contains(status))
}

fn add_line(text: &mut Option<String>, line: &str) {
    match text {
        Some(text) => {
            text.push('\n');
            text.push_str(line);
        }
        None => *text = Some(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, arguments: &str) -> Call {
        Call {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        }
    }

    #[test]
    fn a_message_without_directives_is_left_as_it_is() {
        for text in ["", " hello\r\n\r\nworld \n", "/echoes", " /echo pace 1"] {
            let found = parse(text).unwrap();
            assert_eq!(found.rest, text);
            assert_eq!(
                Directives {
                    rest: String::new(),
                    ..found
                },
                Directives::default()
            );
        }
    }

    #[test]
    fn calls_stand_in_rounds() {
        let found = parse(
            "hello\n/echo then\n/echo call a {\"x\": 1}\n/echo call b\n/echo then\n/echo then\r\n/echo call c  not json\r\nworld",
        )
        .unwrap();
        assert_eq!(
            found.rounds,
            vec![
                vec![made("a", "{\"x\": 1}"), made("b", "{}")],
                vec![made("c", "not json")],
            ]
        );
        assert_eq!(found.rest, "hello\nworld");
    }

    #[test]
    fn the_other_directives_are_read() {
        let found = parse(
            "/echo say one\n/echo say two\n/echo fail 503\n/echo pace 20\n/echo refuse I will not.\n/echo length 3",
        )
        .unwrap();
        assert_eq!(
            found,
            Directives {
                say: Some("one\ntwo".to_owned()),
                fail: Some(503),
                pace: Duration::from_millis(20),
                refuse: Some("I will not.".to_owned()),
                length: Some(3),
                ..Directives::default()
            }
        );
    }

    #[test]
    fn a_directive_that_makes_no_sense_is_named() {
        for line in [
            "/echo dance",
            "/echo call",
            "/echo fail",
            "/echo fail 200",
            "/echo fail soon",
            "/echo pace -1",
            "/echo length many",
            "/echo then call f",
            "/echo ",
        ] {
            assert_eq!(parse(&format!("hi\n{line}")).unwrap_err(), line.trim());
        }
    }
}

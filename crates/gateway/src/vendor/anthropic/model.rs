//! What a Claude model takes, read from its name: the API has no other word for it, and refuses
//! what a model does not take.

/// A model, by what its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Model {
    kind: Kind,
    is_opus: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Claude of this version.
    Claude(u32, u32),
    /// Claude, unnumbered: taken for the newest.
    Newest,
    /// Something else that speaks this API.
    Foreign,
}

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    /// Not at all.
    Never,
    /// With a number of tokens.
    Budget,
    /// With an effort.
    Adaptive,
}

impl Model {
    /// Reads `claude-sonnet-4-5-20250929`, `claude-3-7-sonnet-latest`, `anthropic/claude-opus-4.6`.
    pub(super) fn named(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let kind = match name.split_once("claude-") {
            None if name.contains("claude") => Kind::Newest,
            None => Kind::Foreign,
            Some((_, rest)) => version(rest),
        };
        Self {
            kind,
            is_opus: name.contains("opus"),
        }
    }

    /// The most tokens of an answer that is not limited: as many as the model writes, up to 64,000.
    pub(super) fn max_tokens(self) -> u64 {
        match self.kind {
            Kind::Claude(..) if self.is_before(3, 5) => 4_096,
            Kind::Claude(..) if self.is_before(3, 7) => 8_192,
            Kind::Claude(..) if self.is_opus && self.is_before(4, 5) => 32_000,
            Kind::Claude(..) | Kind::Newest => 64_000,
            Kind::Foreign => 8_192,
        }
    }

    /// Whether `temperature`, `top_p` and `top_k` may be said: up to 4.6.
    pub(super) fn samples(self) -> bool {
        self.kind == Kind::Foreign || self.is_before(4, 7)
    }

    pub(super) fn thinking(self) -> Thinking {
        match self.kind {
            Kind::Foreign => Thinking::Budget,
            Kind::Claude(..) if self.is_before(3, 7) => Thinking::Never,
            Kind::Claude(..) if self.is_before(4, 6) => Thinking::Budget,
            Kind::Claude(..) | Kind::Newest => Thinking::Adaptive,
        }
    }

    /// Whether the efforts above `high` are there: `max` from 4.6, `xhigh` from 4.7.
    pub(super) fn has_xhigh(self) -> bool {
        !self.is_before(4, 7)
    }

    /// Whether thinking is on unless it is turned off: from 5.
    pub(super) fn thinks_by_itself(self) -> bool {
        self.kind != Kind::Foreign && !self.is_before(5, 0)
    }

    fn is_before(self, major: u32, minor: u32) -> bool {
        matches!(self.kind, Kind::Claude(a, b) if (a, b) < (major, minor))
    }
}

fn version(rest: &str) -> Kind {
    let mut words = rest.split(['-', '.', '@', ':', '/', '_']);
    // A date is no version.
    let number = |word: &str| word.parse().ok().filter(|_| word.len() <= 2);
    let Some(major) = words.find_map(number) else {
        return Kind::Newest;
    };
    Kind::Claude(major, words.next().and_then(number).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_wherever_they_stand() {
        for (name, expected) in [
            ("claude-3-5-sonnet-20241022", Kind::Claude(3, 5)),
            ("claude-3-opus-20240229", Kind::Claude(3, 0)),
            ("claude-sonnet-4-20250514", Kind::Claude(4, 0)),
            ("claude-sonnet-4-5@20250929", Kind::Claude(4, 5)),
            ("us.anthropic.claude-opus-4-6-v1:0", Kind::Claude(4, 6)),
            ("anthropic/claude-opus-4.7", Kind::Claude(4, 7)),
            ("claude-opus-5", Kind::Claude(5, 0)),
            ("claude-haiku-5-5", Kind::Claude(5, 5)),
            ("Claude-Fable-5-1-20260901", Kind::Claude(5, 1)),
            ("claude-mythos-preview", Kind::Newest),
            ("my-claude", Kind::Newest),
            ("MiniMax-M2", Kind::Foreign),
        ] {
            assert_eq!(Model::named(name).kind, expected, "{name}");
        }
    }

    #[test]
    fn abilities_follow_the_version() {
        let row = |name| {
            let model = Model::named(name);
            (model.max_tokens(), model.samples(), model.thinking())
        };
        assert_eq!(row("claude-3-haiku"), (4_096, true, Thinking::Never));
        assert_eq!(row("claude-3-5-haiku"), (8_192, true, Thinking::Never));
        assert_eq!(row("claude-opus-4-1"), (32_000, true, Thinking::Budget));
        assert_eq!(row("claude-haiku-4-5"), (64_000, true, Thinking::Budget));
        assert_eq!(row("claude-opus-4-6"), (64_000, true, Thinking::Adaptive));
        assert_eq!(row("claude-opus-4-7"), (64_000, false, Thinking::Adaptive));
        assert_eq!(row("claude-new"), (64_000, false, Thinking::Adaptive));
        assert_eq!(row("kimi-k2"), (8_192, true, Thinking::Budget));
    }
}

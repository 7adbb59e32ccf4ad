//! What is done next.

use loomgate_bench::statistics::Dice;

/// A disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    /// A server is killed and started.
    Kill,
    /// The same, and it is killed once more while it starts.
    KillAtStart,
    /// All servers are killed at once.
    KillAll,
    /// A server stops for less than its leases last, or little more.
    Freeze,
    /// A server stops until its leases are others'. The storm goes on meanwhile.
    FreezeLong,
    /// A server ends in good order, and another one takes its place.
    Deploy,
    /// The same with all of them, one after the other.
    Roll,
    /// PostgreSQL is stopped and started.
    Restart,
    /// PostgreSQL ends at once, and has to recover.
    Crash,
}

/// How often each is drawn.
const EMBEDDED: &[(Act, usize)] = &[
    (Act::Kill, 13),
    (Act::KillAtStart, 3),
    (Act::Freeze, 2),
    (Act::Deploy, 2),
];
const SHARED: &[(Act, usize)] = &[
    (Act::Kill, 12),
    (Act::KillAtStart, 3),
    (Act::KillAll, 2),
    (Act::Freeze, 1),
    (Act::FreezeLong, 7),
    (Act::Deploy, 2),
    (Act::Roll, 1),
    (Act::Restart, 2),
    (Act::Crash, 3),
];

impl Act {
    /// Draws one; on an embedded database, of those that need no PostgreSQL.
    pub(super) fn draw(dice: &mut Dice, is_shared: bool) -> Self {
        let acts = if is_shared { SHARED } else { EMBEDDED };
        let all = acts.iter().map(|(_, weight)| weight).sum();
        let mut drawn = dice.below(all);
        for (act, weight) in acts {
            if drawn < *weight {
                return *act;
            }
            drawn -= weight;
        }
        Self::Kill
    }

    /// Whether it takes all servers, or takes it that all of them run.
    pub(super) fn is_of_all(self) -> bool {
        matches!(self, Self::KillAll | Self::FreezeLong | Self::Roll)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everything_is_drawn_where_it_belongs() {
        for (is_shared, acts) in [(false, EMBEDDED), (true, SHARED)] {
            let mut dice = Dice::new(5);
            let drawn: BTreeSet<_> = (0..600).map(|_| Act::draw(&mut dice, is_shared)).collect();
            let all: BTreeSet<_> = acts.iter().map(|(act, _)| *act).collect();
            assert_eq!(drawn, all);
        }
    }
}

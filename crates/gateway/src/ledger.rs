//! Who pays for a call: its tokens and its cost, counted against the virtual key and the API key.

use std::sync::Arc;

use loomgate_domain::{
    Clock, Usage,
    limit::{Charge, Nanodollars, Owed},
};
use parking_lot::Mutex;

use crate::{
    Target,
    meter::{Limited, Meter, Refusal, Spent},
    open_runs::{OpenRuns, RunKey},
    price::PriceTable,
    relay::SeenRun,
};

/// A token of text has about so many bytes: for answers whose provider does not count.
const BYTES_PER_TOKEN: u64 = 4;

/// Counts, and prices.
pub(crate) struct Ledger {
    pub(crate) meter: Meter,
    pub(crate) prices: PriceTable,
    pub(crate) clock: Arc<dyn Clock>,
    /// Held while a run is counted and while what is owed is taken out, so that a run's end and its
    /// charge are always written together.
    pub(crate) open_runs: Mutex<OpenRuns>,
}

/// Against whom a call is counted, and by which price.
#[derive(Debug, Clone)]
pub(crate) struct Bill {
    pub(crate) payers: Vec<Limited>,
    pub(crate) brand: Arc<str>,
    pub(crate) model: Option<String>,
    /// What the request alone is estimated at, in bytes.
    pub(crate) request_bytes: u64,
    /// Nothing is counted: the answer came from the cache, or is no model's.
    pub(crate) free: bool,
}

impl Bill {
    /// Of a call to a target; `key` is the API key's.
    pub(crate) fn new(target: &Target, key: Option<&Limited>, model: Option<String>) -> Self {
        Self {
            payers: target.limited.iter().chain(key).cloned().collect(),
            brand: Arc::clone(&target.brand),
            model,
            request_bytes: 0,
            free: false,
        }
    }
}

impl Ledger {
    /// Whether a target may be called. Counts a request of its virtual key.
    pub(crate) fn admit(&self, target: &Target) -> Result<Option<crate::meter::Admitted>, Refusal> {
        let Some(limited) = &target.limited else {
            return Ok(None);
        };
        self.meter.admit(limited, self.clock.now_ms()).map(Some)
    }

    /// What a call costs; `None` where its model has no price.
    pub(crate) fn cost(
        &self,
        bill: &Bill,
        usage: &Usage,
        served: Option<&str>,
    ) -> Option<Nanodollars> {
        let of = |model: &str| self.prices.cost(&bill.brand, model, usage);
        served
            .and_then(of)
            .or_else(|| bill.model.as_deref().and_then(of))
    }

    /// Counts a call that has ended, and tells its cost. Where the provider did not count, budgets
    /// go by an estimate; the cost is then not told.
    pub(crate) fn book(
        &self,
        bill: &Bill,
        usage: Option<Usage>,
        served: Option<&str>,
        answer_bytes: u64,
    ) -> Option<Nanodollars> {
        if bill.free {
            return None;
        }
        let cost = usage.and_then(|usage| self.cost(bill, &usage, served));
        if bill.payers.is_empty() {
            return cost;
        }
        let counted = usage.unwrap_or_else(|| Usage {
            prompt_tokens: bill.request_bytes / BYTES_PER_TOKEN,
            completion_tokens: answer_bytes / BYTES_PER_TOKEN,
            ..Usage::default()
        });
        let spent = Spent {
            tokens: counted.total_tokens(),
            // Prices are looked up by name: not twice for nothing.
            cost: match usage {
                Some(_) => cost,
                None => self.cost(bill, &counted, served),
            },
        };
        let now_ms = self.clock.now_ms();
        for payer in &bill.payers {
            self.meter.charge(payer, spent, now_ms, true);
        }
        cost
    }

    /// A run of a provider's was seen, before its end.
    pub(crate) fn open_run(&self, key: RunKey, expires_at: Option<i64>) {
        let now = self.clock.now();
        self.open_runs.lock().open(key, expires_at, now);
    }

    /// Counts a run of a provider's when its end is first seen after it was seen open: what it has
    /// used, and what that costs. Otherwise nothing is due.
    pub(crate) fn book_run(
        &self,
        (key, run): (RunKey, &SeenRun),
        bill: &Bill,
        (usage, served): (Option<Usage>, Option<&str>),
    ) -> (Option<Usage>, Option<Nanodollars>) {
        let mut open = self.open_runs.lock();
        if run.was_open {
            open.open(key.clone(), run.expires_at, self.clock.now());
        }
        if !run.has_ended || !open.awaits(&key) {
            return (None, None);
        }
        let Some(used) = usage else {
            open.close(&key, Vec::new());
            return (None, None);
        };
        // Written with the end of the run, by whoever is the first to write it.
        open.close(&key, self.charges(bill, &used, served));
        self.settled(bill, &used, served);
        (usage, self.cost(bill, &used, served))
    }

    /// Hands out all that has to be written. What could not be written is to be given back.
    pub(crate) fn owed(&self) -> Owed {
        let mut open = self.open_runs.lock();
        let (opened, closed) = open.drain(self.clock.now());
        Owed {
            charges: self.meter.drain(),
            opened,
            closed,
        }
    }

    /// Takes back what could not be written.
    pub(crate) fn restore(&self, owed: Owed) {
        self.open_runs.lock().restore(owed.opened, owed.closed);
        self.meter.restore(owed.charges);
    }

    /// What a run's turn costs its payers, as rows that the run's own commit writes.
    pub(crate) fn charges(&self, bill: &Bill, usage: &Usage, served: Option<&str>) -> Vec<Charge> {
        let spent = self.spent(bill, usage, served);
        let now_ms = self.clock.now_ms();
        let of = |payer| self.meter.charges(payer, spent, now_ms);
        bill.payers.iter().flat_map(of).collect()
    }

    /// The same, counted in this process once that commit is done.
    pub(crate) fn settled(&self, bill: &Bill, usage: &Usage, served: Option<&str>) {
        let spent = self.spent(bill, usage, served);
        let now_ms = self.clock.now_ms();
        for payer in &bill.payers {
            self.meter.charge(payer, spent, now_ms, false);
        }
    }

    fn spent(&self, bill: &Bill, usage: &Usage, served: Option<&str>) -> Spent {
        Spent {
            tokens: usage.total_tokens(),
            cost: self.cost(bill, usage, served),
        }
    }
}

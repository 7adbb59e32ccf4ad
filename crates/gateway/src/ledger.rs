//! Who pays for a call: its tokens and its cost, counted against the virtual key and the API key.

use std::{collections::HashSet, sync::Arc};

use loomgate_domain::{Clock, Usage, limit::Charge, limit::Nanodollars};
use parking_lot::Mutex;

use crate::{
    Target,
    meter::{Limited, Meter, Refusal, Spent},
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
    /// Runs at providers that were seen before their end: each is counted once, when it is first
    /// seen to have ended. Runs that are open when this process ends are not counted.
    pub(crate) open_runs: Mutex<HashSet<String>>,
}

/// The most runs that are waited for. When there are more, all are forgotten.
const OPEN_RUNS: usize = 100_000;

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
            cost: self.cost(bill, &counted, served),
        };
        let now_ms = self.clock.now_ms();
        for payer in &bill.payers {
            self.meter.charge(payer, spent, now_ms, true);
        }
        cost
    }

    /// What a relayed run has used, when it is first seen to have ended; otherwise nothing is due.
    pub(crate) fn run_usage(&self, run: &SeenRun, usage: Option<Usage>) -> Option<Usage> {
        let mut open = self.open_runs.lock();
        if run.has_ended {
            let was_open = open.remove(&run.id) || run.was_open;
            return usage.filter(|_| was_open);
        }
        if open.len() >= OPEN_RUNS {
            open.clear();
        }
        open.insert(run.id.clone());
        None
    }

    /// What a run's turn costs its payers, as rows that the run's own commit writes.
    pub(crate) fn charges(&self, bill: &Bill, usage: &Usage, served: Option<&str>) -> Vec<Charge> {
        let spent = self.spent(bill, usage, served);
        let now_ms = self.clock.now_ms();
        let of = |payer| Meter::charges(payer, spent, now_ms);
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

//! Keyset pages (contract section 4).

/// Which end of a list comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    Asc,
    /// Newest first.
    #[default]
    Desc,
}

/// What part of a list is asked for. Cursors are exclusive and in the direction of `order`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest<I> {
    /// The most items to return, 1 to 100.
    pub limit: u32,
    /// The direction of travel.
    pub order: Order,
    /// Only items after this one.
    pub after: Option<I>,
    /// Only items before this one. Alone, it keeps the start of the list; see `docs/compatibility.md`.
    pub before: Option<I>,
}

impl<I> Default for PageRequest<I> {
    fn default() -> Self {
        Self {
            limit: 20,
            order: Order::Desc,
            after: None,
            before: None,
        }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the order asked for.
    pub items: Vec<T>,
    /// Whether the list goes on behind the last item.
    pub has_more: bool,
}

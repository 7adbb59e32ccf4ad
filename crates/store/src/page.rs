//! Keyset pages along `seq` (contract section 4).

use loomgate_domain::{Id, IdKind, Order, Page, PageRequest};

use crate::{
    Error,
    tx::{Row, Tx, Value, values},
};

/// The statements of one list.
pub(crate) struct List {
    /// `seq` of an item. Parameters: those of the scope, then the item's id.
    pub(crate) cursor: &'static str,
    /// Items between two `seq`, exclusive. Parameters: those of the filter, then the lower
    /// bound, the upper bound and the most rows.
    pub(crate) ascending: &'static str,
    /// The same, backwards.
    pub(crate) descending: &'static str,
}

/// Reads one page. `scope` are the parameters that a cursor is looked up under; `filter` those
/// of the list itself.
///
/// Both cursors bound the same window, and a page is the window's start in the direction of
/// `order`; `has_more` says whether the window goes on. At most `limit + 1` rows are read.
pub(crate) fn page<T, K: IdKind>(
    tx: &mut dyn Tx,
    list: &List,
    scope: &[Value<'_>],
    filter: &[Value<'_>],
    request: &PageRequest<Id<K>>,
    read: impl Fn(&dyn Row) -> Result<T, Error>,
) -> Result<Page<T>, Error> {
    let after = position(tx, list, scope, request.after.as_ref())?;
    let before = position(tx, list, scope, request.before.as_ref())?;
    let (sql, low, high) = match request.order {
        Order::Asc => (list.ascending, after, before),
        Order::Desc => (list.descending, before, after),
    };
    let limit = request.limit.max(1);
    let mut parameters = filter.to_vec();
    parameters.extend_from_slice(values![
        low.unwrap_or(0),
        high.unwrap_or(i64::MAX),
        i64::from(limit) + 1,
    ]);
    let mut items = tx.rows(sql, &parameters, read)?;
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    Ok(Page { items, has_more })
}

fn position<K: IdKind>(
    tx: &mut dyn Tx,
    list: &List,
    scope: &[Value<'_>],
    cursor: Option<&Id<K>>,
) -> Result<Option<i64>, Error> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    let mut parameters = scope.to_vec();
    parameters.push(cursor.into());
    let found = tx.row(list.cursor, &parameters, |row| row.integer(0))?;
    found
        .map(Some)
        .ok_or_else(|| Error::NoSuchCursor(cursor.to_string()))
}

//! Cases of a query, page by page.

use geofence::case::Case;
use storage::store::{CaseQuery, Store, StoreError};

/// Reads the pages of a query one after the other.
pub(crate) struct CasePages<'a> {
    store: &'a dyn Store,
    query: CaseQuery,
    is_over: bool,
}

impl<'a> CasePages<'a> {
    /// Of a query, which says how many cases a page has and behind which case they begin.
    pub(crate) const fn new(store: &'a dyn Store, query: CaseQuery) -> Self {
        Self {
            store,
            query,
            is_over: false,
        }
    }

    /// The next page; `None` behind the last one.
    ///
    /// # Errors
    /// When the store is not available; then the same page may be asked for again.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Case>>, StoreError> {
        if self.is_over {
            return Ok(None);
        }
        let page = self.store.cases(&self.query).await?;
        self.query.after = page.last().and_then(|case| self.query.key(case));
        // Behind a page that is not full there is nothing; nor behind a case without a place.
        let is_full = page.len() >= self.query.limit as usize;
        self.is_over = !is_full || self.query.after.is_none();
        Ok(Some(page).filter(|page| !page.is_empty()))
    }
}

//! Parts of long lists.

/// A part of a list: what follows `after` in the list's order, at most `limit` of it.
///
/// Lists are in the order of ids, which is that of creation, so that a page stays where it is while
/// others are added and removed.
#[derive(Debug)]
pub struct Page<'a, I> {
    /// The last id of the page before; absent for the first page.
    pub after: Option<&'a I>,
    /// How many at most.
    pub limit: u32,
}

impl<I> Page<'_, I> {
    /// The whole list.
    pub const ALL: Self = Self { after: None, limit: u32::MAX };
}

impl<I> Clone for Page<'_, I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I> Copy for Page<'_, I> {}

//! Some of the links of a bond, by place, without memory of their own: they are chosen anew for each packet.

use std::array;
use std::iter::Take;
use std::ops::Deref;

use super::MAX_LINKS;

/// Places of links, ascending; those beyond [`MAX_LINKS`] are left out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Places {
    list: [usize; MAX_LINKS],
    len: usize,
}

impl Places {
    /// Leaves out those that are not `wanted`.
    pub(super) fn retain(self, wanted: impl Fn(usize) -> bool) -> Self {
        self.into_iter().filter(|&link| wanted(link)).collect()
    }
}

impl FromIterator<usize> for Places {
    fn from_iter<T: IntoIterator<Item = usize>>(links: T) -> Self {
        let mut places = Self::default();
        for link in links.into_iter().take(MAX_LINKS) {
            places.list[places.len] = link;
            places.len += 1;
        }
        places
    }
}

impl Deref for Places {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.list[..self.len]
    }
}

impl IntoIterator for Places {
    type Item = usize;
    type IntoIter = Take<array::IntoIter<usize, MAX_LINKS>>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter().take(self.len)
    }
}

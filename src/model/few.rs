//! A map of a few entries: a sorted list grown by one at a time, because there may be 100,000 points, each with a
//! handful of things, for which a tree would hold room for eleven.

/// Entries by key, each key once, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Few<K, V>(Vec<(K, V)>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> Few<K, V> {
    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, _)| own.cmp(key))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What stands under a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(self.place(key).ok()?).map(|(_, value)| value)
    }

    /// What stands under a key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.place(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// What stands under a key, made when there is nothing.
    #[expect(clippy::indexing_slicing, reason = "it was found or put there")]
    pub fn get_or_insert_with(&mut self, key: &K, new: impl FnOnce() -> V) -> &mut V
    where
        K: Clone,
    {
        let at = self.place(key).unwrap_or_else(|at| {
            self.0.reserve_exact(1);
            self.0.insert(at, (key.clone(), new()));
            at
        });
        &mut self.0[at].1
    }

    /// Puts something under a key, in place of what stood there.
    pub fn insert(&mut self, key: K, value: V) {
        match self.place(&key) {
            Ok(at) => {
                if let Some((_, own)) = self.0.get_mut(at) {
                    *own = value;
                }
            }
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (key, value));
            }
        }
    }

    /// The first.
    #[must_use]
    pub fn first(&self) -> Option<&(K, V)> {
        self.0.first()
    }

    /// Takes the first out.
    pub fn remove_first(&mut self) {
        if !self.0.is_empty() {
            self.0.remove(0);
        }
    }

    /// Takes out all that `keep` does not want.
    pub fn retain(&mut self, keep: impl Fn(&K, &V) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }

    /// All in order.
    pub fn iter(&self) -> std::slice::Iter<'_, (K, V)> {
        self.0.iter()
    }

    /// All in order, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Few<K, V> {
    /// Of a key that comes twice the last stays.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut all: Vec<_> = entries.into_iter().collect();
        all.reverse();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all.dedup_by(|(a, _), (b, _)| a == b);
        all.shrink_to_fit();
        Self(all)
    }
}

impl<'a, K: Ord, V> IntoIterator for &'a Few<K, V> {
    type Item = &'a (K, V);
    type IntoIter = std::slice::Iter<'a, (K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_each_key_once_and_in_order() {
        let mut few = Few::default();
        assert!(few.is_empty() && few.first().is_none());
        for (key, value) in [(3, 'c'), (1, 'a'), (2, 'b'), (1, 'A')] {
            few.insert(key, value);
        }
        *few.get_or_insert_with(&2, || 'x') = 'B';
        assert_eq!(*few.get_or_insert_with(&4, || 'd'), 'd');
        assert_eq!(few.iter().copied().collect::<Vec<_>>(), [(1, 'A'), (2, 'B'), (3, 'c'), (4, 'd')]);
        few.remove_first();
        few.retain(|key, _| *key != 3);
        if let Some(value) = few.get_mut(&4) {
            *value = 'D';
        }
        assert_eq!((few.len(), few.get(&1), few.get(&2), few.get(&4)), (2, None, Some(&'B'), Some(&'D')));
        few.remove_first();
        few.remove_first();
        few.remove_first();
        assert!(few.is_empty());
        let gathered: Few<_, _> = [(2, 'b'), (1, 'a'), (2, 'B')].into_iter().collect();
        assert_eq!(gathered.iter().copied().collect::<Vec<_>>(), [(1, 'a'), (2, 'B')]);
    }
}

//! [`Slots`]: things kept by a small number, such as a port's.
//!
//! An array, not a hash map: the lookup is one load, and the order is the numbers'. What it costs is a pointer for each
//! number up to the highest in use, so at most half a megabyte.

/// A map from small numbers. Values are boxed: moving a slot, or taking a value out and putting it back, moves a pointer.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Option<Box<T>>>,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Slots { slots: Vec::new() }
    }

    #[inline]
    pub(crate) fn get(&self, number: u16) -> Option<&T> {
        self.slots.get(usize::from(number))?.as_deref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, number: u16) -> Option<&mut T> {
        self.slots.get_mut(usize::from(number))?.as_deref_mut()
    }

    pub(crate) fn contains(&self, number: u16) -> bool {
        self.get(number).is_some()
    }

    pub(crate) fn insert(&mut self, number: u16, value: T) -> Option<T> {
        self.slot(number).replace(Box::new(value)).map(|old| *old)
    }

    pub(crate) fn or_default(&mut self, number: u16) -> &mut T
    where
        T: Default,
    {
        self.slot(number).get_or_insert_default()
    }

    pub(crate) fn remove(&mut self, number: u16) -> Option<T> {
        let removed = self.slots.get_mut(usize::from(number))?.take().map(|value| *value);
        let used = self.slots.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.slots.truncate(used);
        removed
    }

    /// All of them, by ascending number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &T)> {
        (0..).zip(&self.slots).filter_map(|(number, slot)| Some((number, slot.as_deref()?)))
    }

    /// All of them, by ascending number.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u16, &mut T)> {
        (0..).zip(&mut self.slots).filter_map(|(number, slot)| Some((number, slot.as_deref_mut()?)))
    }

    fn slot(&mut self, number: u16) -> &mut Option<Box<T>> {
        let index = usize::from(number);
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        &mut self.slots[index]
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots::new()
    }
}

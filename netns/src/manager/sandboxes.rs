//! [`Sandboxes`]: which guests are one container. An engine's container has a record for each of its interfaces; a sandbox is what they
//! have in common, if the engine says which it is.

use std::collections::BTreeMap;

use crate::guest::name_of;
use crate::name::Id;
use crate::record::{Endpoint, Record};

/// The guests of each sandbox.
pub(super) struct Sandboxes<'a> {
    /// In the order in which they came.
    guests: BTreeMap<&'a str, Vec<&'a Record>>,
    /// Who is called what.
    names: BTreeMap<&'a str, &'a Record>,
}

impl<'a> Sandboxes<'a> {
    /// Those of the records that are open.
    pub(super) fn of(records: &'a BTreeMap<Id, Record>) -> Self {
        let open = || records.values().filter(|record| record.is_open());
        let mut guests: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
        for (sandbox, record) in open().filter_map(|record| Some((sandbox_of(record)?, record))) {
            guests.entry(sandbox).or_default().push(record);
        }
        guests.values_mut().for_each(|guests| guests.sort_by_key(|guest| guest.sequence));
        Sandboxes { guests, names: open().map(|record| (record.name.as_str(), record)).collect() }
    }

    /// All interfaces of the container that a record stands for, or is one of the records of.
    pub(super) fn endpoints(&self, record: &'a Record) -> impl Iterator<Item = &'a Endpoint> {
        let guests = sandbox_of(record).and_then(|sandbox| self.guests.get(sandbox)).map_or(&[][..], Vec::as_slice);
        let own = record.endpoints.iter().filter(|_| guests.is_empty());
        own.chain(guests.iter().flat_map(|guest| &guest.endpoints))
    }

    /// What the engine calls a guest's container, unless another container is called so. Only one record of a container has that for its
    /// name.
    pub(super) fn shared_name(&self, record: &Record) -> Option<String> {
        let name = name_of(record.guest.as_ref()?.named.as_deref()?)?;
        let is_free = self.names.get(name.as_str()).is_none_or(|other| {
            let sandbox = sandbox_of(record);
            sandbox.is_some() && sandbox == sandbox_of(other)
        });
        is_free.then_some(name)
    }
}

fn sandbox_of(record: &Record) -> Option<&str> {
    record.guest.as_ref()?.sandbox.as_deref()
}

//! [`Note`]: what is kept with a container itself, so that it is not lost with its record.
//!
//! A container whose record is corrupt may live, with an address that is then in use. It gets its record back from its note;
//! one whose note is lost as well is ended, since nobody could name it any more. The default network and its own, whose
//! records may be corrupt too, are in every note.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::error::Error;
use crate::name::Id;
use crate::network::Network;
use crate::record::{Phase, Record};
use crate::strangers::Strangers;

/// The record of a container as it was when it last came to a network or left one, and the networks that it is on; the default one always.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    record: Record,
    networks: Vec<Network>,
}

/// What [`crate::backend::Spec::note`] is to be. `networks` are all there are.
pub(super) fn note_of<'a>(record: &Record, networks: impl Iterator<Item = &'a Network>) -> String {
    let belongs = |network: &&Network| network.is_default() || record.endpoint(&network.id).is_some();
    let note = Note { record: record.clone(), networks: networks.filter(belongs).cloned().collect() };
    serde_json::to_string(&note).unwrap_or_default()
}

/// Adds to `records` those of containers that are there without one, and to `networks` those that only they know.
pub(super) fn salvage<B: Backend>(
    backend: &mut B,
    records: &mut BTreeMap<Id, Record>,
    networks: &mut Vec<Network>,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    let noted = backend.noted()?.into_iter().map(|noted| {
        let note = noted.note.and_then(|text| serde_json::from_str::<Note>(&text).ok());
        (noted.id, note)
    });
    let mut noted: Vec<(Id, Option<Note>)> = noted.collect();
    // The youngest first: what is known of networks has changed since the others were made.
    noted.sort_by_key(|(_, note)| std::cmp::Reverse(note.as_ref().map(|note| note.record.sequence)));
    for (id, note) in noted {
        let known = records.values().find(|record| record.id.short() == id.short());
        let lives = known.is_none_or(Record::is_live);
        for network in note.iter().flat_map(|note| &note.networks) {
            // A network that was removed since is on record as nothing; so is one whose record is lost.
            let is_needed = network.is_default()
                || known.is_some_and(|record| record.endpoint(&network.id).is_some())
                || known.is_none();
            if lives && is_needed && !networks.iter().any(|known| known.id == network.id || known.name == network.name)
            {
                warnings.push(format!("the record of network {} is written anew, as a container has it", network.name));
                // Who has come since the note was written is not known.
                networks.push(Network { strangers: Strangers::anywhere(), ..network.clone() });
            }
        }
        match note {
            _ if known.is_some() => {}
            Some(Note { mut record, .. }) => {
                warnings.push(format!("container {} had no record; it is written anew", record.name));
                // It was created; whether it runs, the backend knows.
                record.phase = Phase::Starting { pid: 0 };
                records.insert(record.id.clone(), record);
            }
            None => {
                warnings.push(format!("container {} had no record; it is ended", id.short()));
                backend.destroy(&id)?;
                backend.discard(&id)?;
            }
        }
    }
    Ok(())
}

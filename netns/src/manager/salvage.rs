//! [`Note`]: what is kept with a container itself, so that it is not lost with its record.
//!
//! A container whose record is corrupt may live, with an address that is then in use. It gets its record back from its note;
//! one whose note is lost as well is ended, since nobody could name it any more. The default network, whose record may be
//! corrupt too, is in every note.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::error::Error;
use crate::name::Id;
use crate::network::Network;
use crate::record::{Phase, Record};

/// The record of a container when it was made, and the default network.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    record: Record,
    network: Network,
}

/// What [`crate::backend::Spec::note`] is to be.
pub(super) fn note_of(record: &Record, network: &Network) -> String {
    let note = Note { record: record.clone(), network: network.clone() };
    serde_json::to_string(&note).unwrap_or_default()
}

/// Adds to `records` those of containers that are there without one, and finds the default network if it is not known.
pub(super) fn salvage<B: Backend>(
    backend: &mut B,
    records: &mut BTreeMap<Id, Record>,
    network: &mut Option<Network>,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    for noted in backend.noted()? {
        let note = noted.note.and_then(|text| serde_json::from_str::<Note>(&text).ok());
        let is_known = records.keys().any(|id| id.short() == noted.id.short());
        if let Some(note) = &note
            && network.is_none()
        {
            warnings
                .push(format!("the record of network {} is written anew, as a container has it", note.network.name));
            *network = Some(note.network.clone());
        }
        match note {
            _ if is_known => {}
            Some(Note { mut record, .. }) => {
                warnings.push(format!("container {} had no record; it is written anew", record.name));
                // It was created; whether it runs, the backend knows.
                record.phase = Phase::Starting { pid: 0 };
                records.insert(record.id.clone(), record);
            }
            None => {
                warnings.push(format!("container {} had no record; it is ended", noted.id.short()));
                backend.destroy(&noted.id)?;
                backend.discard(&noted.id)?;
            }
        }
    }
    Ok(())
}

//! What an earlier run has left in the hidden folder, and whether this merge can go on from there.

use std::collections::BTreeSet;
use std::path::Path;

use super::identity::Identity;
use super::journal::Journal;
use super::layout::Layout;
use super::record::Record;
use crate::host::Host;

/// What an earlier run has left.
pub(super) enum Left {
    /// Nothing that can be used.
    Nothing,
    /// These tensors.
    Part(BTreeSet<usize>),
    /// All tensors, with the record of the run.
    Whole(Record),
}

impl Left {
    /// What is in the folder `building`. A notice says what becomes of it.
    pub(super) fn of(building: &Path, identity: &Identity, layout: &Layout, host: &Host) -> Self {
        if !building.exists() {
            return Self::Nothing;
        }
        let all = layout.places.len();
        let dropped = |why: &str| {
            host.events.notice(format!("{}: {why}; the merge starts from the beginning", building.display()));
            Self::Nothing
        };
        let Some(tensors) = identity.tensors.as_deref() else {
            return dropped(
                "a merge with a method of a script is never resumed, because the method may have changed",
            );
        };
        let record = Record::read(building).filter(|r| r.holds(building) && !Journal::is_in(building));
        let (left, finished) = match record {
            Some(record) if record.tensors.as_deref() == Some(tensors) => (Self::Whole(record), all),
            Some(_) => return dropped("this is the result of another merge or of other models"),
            None => match Journal::read(building, tensors, all) {
                Some(finished) if finished.is_empty() => return Self::Nothing,
                Some(finished) => {
                    let count = finished.len();
                    (Self::Part(finished), count)
                }
                None => return dropped("this was begun by another merge or with other models"),
            },
        };
        if !layout.is_in(building) {
            return dropped("files were changed or removed since the merge was stopped");
        }
        host.events.notice(format!(
            "going on with the merge that was stopped: {finished} of {all} tensors are there"
        ));
        left
    }
}
